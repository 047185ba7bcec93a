"""What importances are made of: the rows of weights that go with a unit, their sums, and their mean over a group."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from workbench.pruning.groups import Group, Member

Scores = list[Tensor | None]
Rows = Callable[[Member], Tensor]


def weights_of(module: nn.Module, member: Member) -> Tensor:
    """The member's weights, one row for each unit, shape (units, weights)."""
    return member.rows(module.get_parameter(member.parameter))


def mean_of_sums(
    group: Group, rows: Rows, roles: tuple[str, ...] = (), reduce: Callable[..., Tensor] = torch.sum
) -> Tensor | None:
    """The mean of the sums of rows, over the group's weights (of these roles), shape (units,); None without any."""
    sums = [reduce(rows(member), dim=1) for member in group.members if not roles or member.role in roles]
    return torch.stack(sums).mean(0) if sums else None


def relative(score: Tensor | None) -> Tensor | None:
    """Scores divided by their mean, as layers differ in scale; one unit alone, as a block is, stays as it is."""
    return score / score.mean().clamp(min=1e-30) if score is not None and len(score) > 1 else score
