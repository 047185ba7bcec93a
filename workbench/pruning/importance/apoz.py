"""Channels go first that are mostly zero."""

from contextlib import ExitStack

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.pruning.groups import Group
from workbench.pruning.importance.base import Scores, mean_of_sums
from workbench.steps.base import Context


def apoz(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """``1 - APoZ``, with APoZ the average percentage of zeros after ReLU.

    Zeros are counted in what the next layers take in, over the calibration samples.

    Raises
    ------
    WorkbenchError
        If nothing is ever zero, as without ReLU.

    References
    ----------
    Hu et al.: Network Trimming: A Data-Driven Neuron Pruning Approach, 2016 (arXiv 1607.03250).
    """
    zeros = _zero_shares(module, {m.layer for g in groups for m in g.members if m.role == "in"}, context)
    if not any(share.any() for share in zeros.values()):
        raise WorkbenchError(
            "No activation of this model is ever zero, so zeros can't rank its channels.",
            "Choose another importance: APoZ is made for ReLU.",
        )
    return [
        mean_of_sums(g, lambda m: 1 - zeros[m.layer][m.channels], ("in",), torch.mean)  # a channel may be many features
        for g in groups
    ]


def _zero_shares(module: nn.Module, layers: set[str], context: Context) -> dict[str, Tensor]:
    """The share of zeros among each layer's inputs, by channel (of images: dimension 1; else the last)."""
    inputs = torch.from_numpy(context.dataset.prepare(context.dataset.calibration.inputs))
    shares: dict[str, list[Tensor]] = {name: [] for name in layers}
    with ExitStack() as stack, torch.no_grad():
        for name in layers:
            layer = module.get_submodule(name)

            def hook(layer: nn.Module, taken: tuple, name: str = name) -> None:
                channel = taken[0].ndim - 1 if isinstance(layer, nn.Linear) else 1
                zero = (taken[0] == 0).float().movedim(channel, 0).flatten(1).mean(1)
                shares[name].append(zero * len(taken[0]) / len(inputs))

            stack.callback(layer.register_forward_pre_hook(hook).remove)
        for part in inputs.split(128):
            module.eval()(part)
    return {name: torch.stack(parts).sum(0) for name, parts in shares.items() if parts}
