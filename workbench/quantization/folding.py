"""Batch-norm folded into the layer before it, as every integer kernel has it."""

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from workbench.quantization.grid import Grid
from workbench.quantization.layers import Layer, graph_of, part, weight_name, weighted
from workbench.steps.base import Work

Norm = nn.modules.batchnorm._BatchNorm


def norms_after(module: nn.Module) -> dict[str, str]:
    """The batch-norm that alone takes in a layer's output: names of layers to names of batch-norms.

    Empty where the module's code can't be traced.
    """
    graph = graph_of(module)
    layers, parts = weighted(module), dict(module.named_modules())
    found = {}
    for node in graph.nodes if graph else ():
        source = node.args[0] if node.op == "call_module" and node.args else None
        if (
            isinstance(parts.get(str(node.target)), Norm)
            and isinstance(source, fx.Node)
            and str(source.target) in layers
            and len(source.users) == 1
        ):
            found[str(source.target)] = str(node.target)
    used = [str(node.target) for node in graph.nodes] if graph else []
    return {layer: norm for layer, norm in found.items() if used.count(layer) == used.count(norm) == 1}


@torch.no_grad()
def fold(module: nn.Module) -> dict[str, Tensor]:
    r"""Move each batch-norm's factor :math:`\gamma / \sqrt{\sigma^2 + \epsilon}` into the weights before it, in place.

    The batch-norm stays, with a factor of one and the same shift, so that the function is the same, the architecture
    too, and training goes on with live statistics.

    Returns
    -------
    dict of str to torch.Tensor
        The factor of each output channel, by the name of the layer whose weights were multiplied.
    """
    factors = {}
    for name, norm_name in norms_after(module).items():
        layer, norm = part(module, name), part(module, norm_name)
        if norm.running_var is None or norm.weight is None:
            continue
        factor = factor_of(norm)
        factors[name] = factor
        scale_outputs(layer, factor)
        set_norm(norm, spread=norm.weight, mean=norm.running_mean * factor)
    return factors


def folded_copy(work: Work) -> tuple[nn.Module, dict[str, Grid]]:
    """The module with batch-norms folded again, as training may have moved them, and the grids of its weights."""
    module = copy.deepcopy(work.module).to("cpu").eval()
    grids = dict(work.grids)
    for layer, factor in fold(module).items():
        grid = grids.get(weight_name(layer))
        if grid is not None and grid.scale.ndim < 2:
            grids[weight_name(layer)] = replace(grid, scale=grid.scale * factor.abs())
    return module, grids


def factor_of(norm: Any) -> Tensor:
    """What a batch-norm multiplies each channel by, in evaluation."""
    return norm.weight / torch.sqrt(norm.running_var + norm.eps)


def scale_outputs(layer: Layer, factor: Tensor) -> None:
    """Multiply a layer's outputs."""
    layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    if layer.bias is not None:
        layer.bias.mul_(factor)


def set_norm(norm: Any, *, spread: Tensor, mean: Tensor) -> None:
    """Give a batch-norm a factor of exactly one, for inputs of this standard deviation and mean."""
    norm.running_var.copy_((spread**2 - norm.eps).clamp(min=0))
    norm.weight.copy_(torch.sqrt(norm.running_var + norm.eps))
    norm.running_mean.copy_(mean)
