"""Cross-layer equalization: two layers in a row share out their ranges evenly."""

from typing import Any

import torch
from torch import Tensor, fx, nn

from workbench.quantization.folding import norms_after, scale_outputs, set_norm
from workbench.quantization.layers import Layer, graph_of, part, weighted

# f(s x) = s f(x) for s > 0, channel by channel
HOMOGENEOUS_MODULES = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Dropout,
    nn.Flatten,
    nn.Identity,
)
HOMOGENEOUS = {"relu", "leaky_relu", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "dropout", "flatten"}
PASSES = 20


def pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Layers whose output goes, through nothing but positively homogeneous functions, into one other layer alone."""
    graph = graph_of(module)
    layers, parts, norms = weighted(module), dict(module.named_modules()), norms_after(module)
    used = [str(node.target) for node in graph.nodes] if graph else []
    found = []
    for node in graph.nodes if graph else ():
        first = str(node.target)
        if node.op != "call_module" or first not in layers:
            continue
        follower = _follower(node, parts, norms.get(first))
        second = str(follower.target) if follower else ""
        if second in layers and used.count(first) == used.count(second) == 1 and _match(layers[first], layers[second]):
            found.append((first, second))
    return found


def _follower(node: fx.Node, parts: dict[str, nn.Module], norm: str | None) -> fx.Node | None:
    """The one that takes in what a node gives, past all homogeneous functions."""
    while len(node.users) == 1:
        (node,) = node.users
        name = str(node.target) if node.op == "call_module" else getattr(node.target, "__name__", str(node.target))
        layer = parts.get(name) if node.op == "call_module" else None
        passes = isinstance(layer, HOMOGENEOUS_MODULES) or name == norm or (layer is None and name in HOMOGENEOUS)
        if not passes:
            return node if layer is not None else None
    return None


def _match(first: Layer, second: Layer) -> bool:
    plain = all(getattr(layer, "groups", 1) == 1 for layer in (first, second))
    return plain and second.weight.shape[1] % first.weight.shape[0] == 0  # a flattened map repeats its channel


@torch.no_grad()
def equalize(module: nn.Module) -> int:
    r"""Scale the channels between two layers so that both have the same range there, in place.

    As :math:`\mathrm{ReLU}(s x) = s \, \mathrm{ReLU}(x)`, dividing channel i of the first layer by

    .. math:: s_i = \frac{1}{r_i^{(2)}} \sqrt{r_i^{(1)} r_i^{(2)}}

    and multiplying it in the second changes nothing but the ranges :math:`r_i = \max |w_i|`. Batch-norm is to be
    folded before. Passes over all pairs are repeated until nothing changes.

    Returns
    -------
    int
        How many pairs of layers were equalized.

    References
    ----------
    Nagel et al.: Data-Free Quantization Through Weight Equalization and Bias Correction, 2019 (arXiv 1906.04721).
    """
    found, norms = pairs(module), norms_after(module)
    for _ in range(PASSES):
        changed = 0.0
        for first, second in found:
            one, other = part(module, first), part(module, second)
            channels = len(one.weight)
            range_one = one.weight.abs().reshape(channels, -1).amax(1)
            # (outputs, channels, all places of one channel)
            range_other = other.weight.abs().reshape(len(other.weight), channels, -1).amax((0, 2))
            scale = torch.sqrt(range_one / range_other)
            scale = torch.where((range_one > 0) & (range_other > 0), scale, 1.0)
            norm = part(module, norms[first]) if first in norms else None
            _shift(one, other, norm, scale)
            changed = max(changed, float((scale - 1).abs().max()))
        if changed < 1e-3:
            break
    return len(found)


def _shift(one: Layer, other: Layer, norm: Any, scale: Tensor) -> None:
    scale_outputs(one, 1 / scale)
    if norm is not None:
        spread = torch.sqrt(norm.running_var + norm.eps) / scale
        norm.bias.div_(scale)
        set_norm(norm, spread=spread, mean=norm.running_mean / scale)
    repeated = other.weight.reshape(len(other.weight), len(scale), -1) * scale[:, None]
    other.weight.copy_(repeated.reshape(other.weight.shape))
