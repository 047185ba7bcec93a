"""Chance: what every importance has to beat."""

import torch
from torch import nn

from workbench.pruning.groups import Group
from workbench.pruning.importance.base import Scores
from workbench.steps.base import Context


def random(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """``U(0, 1)``, drawn by the seed alone.

    References
    ----------
    Mittal et al.: Recovering from Random Pruning, 2018 (arXiv 1801.10447), for how far chance gets with training.
    """
    generator = torch.Generator().manual_seed(context.seed)
    return [torch.rand(group.units, generator=generator) for group in groups]
