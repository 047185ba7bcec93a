"""What every penalty on channels is: a scalar that is added to the loss, and a way to cut what it leaves small."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from workbench.pruning.allocation import own_ratios
from workbench.pruning.channels import channel_groups
from workbench.pruning.groups import Group, Member
from workbench.steps.base import Context, Work
from workbench.steps.prune import Prune
from workbench.steps.slim import Slim


class ChannelPenalty(ABC):
    """A penalty, for one work and one declaration.

    Attributes
    ----------
    usual : float
        The factor of the penalty at strength 1.
    importance : str
        That of `Prune`, by which the channels are cut that the penalty made small.
    groups, left : list of Group
        The groups of channels that may lose some, and those that the declaration leaves alone.

    Raises
    ------
    WorkbenchError
        If the declaration names a layer that isn't there, or can't be pruned.
    """

    usual: ClassVar[float]
    importance: ClassVar[Literal["l1", "group", "bn"]]

    def __init__(self, work: Work, step: Slim, context: Context):
        self.factor = step.strength * self.usual
        self.pruning = Prune(
            ratio=step.ratio,
            importance=self.importance,
            scope=step.scope,
            round_to=step.round_to,
            layers=step.layers,
        )
        self.example = torch.from_numpy(context.dataset.prepare(context.dataset.calibration.inputs[:2]))
        groups, _ = channel_groups(work.module, self.example)
        named = [name for name, part in work.module.named_modules() if name and list(part.parameters(recurse=False))]
        own = own_ratios(groups, step.layers, named)
        self.groups = [group for index, group in enumerate(groups) if own.get(index) != 0.0]
        self.left = [group for index, group in enumerate(groups) if own.get(index) == 0.0]

    @abstractmethod
    def __call__(self, module: nn.Module) -> Tensor:
        """The penalty, a scalar through which gradients flow."""

    def grow(self, done: int, total: int) -> None:  # noqa: B027
        """Told after `done` of `total` updates; most penalties stay as they are."""

    def cut(self, work: Work, context: Context) -> None:
        """Cut the channels that have become unimportant."""
        self.pruning.apply(work, context)


def squared_norms(module: nn.Module, group: Group) -> Tensor:
    """For each unit, the sum of squares of all weights that go with it: those that compute, scale and take it in."""
    return torch.stack([_slices(module, member).square().sum(1) for member in group.members]).sum(0)


def _slices(module: nn.Module, member: Member) -> Tensor:
    layer: Any = module.get_submodule(member.layer)
    weight = layer.weight  # as the model computes with it, under any constraint
    return weight.movedim(member.dim, 0)[member.index.to(weight.device)].flatten(1)
