"""SmoothQuant: what is hard to quantize in activations moves into the weights that take them in."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from workbench.quantization.layers import Layer, graph_of, part, run, watching, weighted


def normalized_inputs(module: nn.Module) -> dict[str, list[str]]:
    """Layer-norms all of whose uses are inputs of linear layers: names to the names of those layers."""
    graph, parts = graph_of(module), dict(module.named_modules())
    found = {}
    for node in graph.nodes if graph else ():
        norm = parts.get(str(node.target))
        users = [str(user.target) for user in node.users]
        plain = isinstance(norm, nn.LayerNorm) and norm.weight is not None and len(norm.normalized_shape) == 1
        if plain and users and all(isinstance(parts.get(user), nn.Linear) for user in users):
            found[str(node.target)] = users
    return found


@torch.no_grad()
def smooth(module: nn.Module, batches: Iterable[Tensor], strength: float) -> int:
    r"""Divide each channel after a layer-norm by a factor, and multiply the linear layers' weights by it, in place.

    .. math:: s_j = \frac{\max |X_j|^\alpha}{\max |W_j|^{1 - \alpha}}

    over the calibration samples and over all linear layers that share the input. The function stays the same.

    Parameters
    ----------
    module : torch.nn.Module
    batches : iterable of torch.Tensor
    strength : float
        The paper's :math:`\alpha`: 0 leaves all to the weights' ranges, 1 to the activations'.

    Returns
    -------
    int
        How many layer-norms were smoothed.

    References
    ----------
    Xiao et al.: SmoothQuant, 2023 (arXiv 2211.10438), equation 4.
    """
    found, layers = normalized_inputs(module), weighted(module)
    watched: dict[str, Layer] = {users[0]: layers[users[0]] for users in found.values()}
    largest: dict[str, Tensor] = {}

    def see(name: str, inputs: Tensor, outputs: Tensor) -> None:
        here = inputs.abs().reshape(-1, inputs.shape[-1]).amax(0)
        largest[name] = torch.maximum(largest[name], here) if name in largest else here

    with watching(watched, see):
        run(module, batches)
    for name, users in found.items():
        norm, linears = part(module, name), [layers[user] for user in users]
        weights = torch.stack([linear.weight.abs().amax(0) for linear in linears]).amax(0).clamp(min=1e-5)
        scale = (largest[users[0]].clamp(min=1e-5) ** strength / weights ** (1 - strength)).clamp(min=1e-5)
        norm.weight.div_(scale)
        if norm.bias is not None:
            norm.bias.div_(scale)
        for linear in linears:
            linear.weight.mul_(scale)
    return len(found)
