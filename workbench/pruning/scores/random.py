"""Chance: the control that every other score has to beat."""

import torch
from torch import Tensor, nn

from workbench.steps.base import Context


def random(module: nn.Module, names: list[str], context: Context) -> dict[str, Tensor]:
    """A number drawn by the seed alone, whatever the weights are."""
    generator = torch.Generator().manual_seed(context.seed)
    return {name: torch.rand(module.get_parameter(name).shape, generator=generator) for name in names}
