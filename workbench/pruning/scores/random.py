"""Chance: the control that every other score has to beat."""

import torch
from torch import Tensor, nn

from workbench.steps.base import Context


def random(module: nn.Module, names: list[str], context: Context) -> dict[str, Tensor]:
    """``U(0, 1)``, drawn by the seed alone, whatever the weights are.

    References
    ----------
    Blalock et al.: What is the State of Neural Network Pruning?, 2020 (arXiv 2003.03033), where chance is the control.
    """
    generator = torch.Generator().manual_seed(context.seed)
    return {name: torch.rand(module.get_parameter(name).shape, generator=generator) for name in names}
