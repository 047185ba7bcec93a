"""Filters that others could stand in for go first."""

import torch
from torch import Tensor, nn

from workbench.pruning.groups import Group, Member
from workbench.pruning.importance.base import Scores, mean_of_sums, relative, weights_of
from workbench.steps.base import Context


def fpgm(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """``sum over j of |w_i - w_j|``: small near the geometric median of the layer's filters.

    References
    ----------
    He et al.: Filter Pruning via Geometric Median, 2019 (arXiv 1811.00250).
    """

    def rows(member: Member) -> Tensor:
        filters = weights_of(module, member)
        return torch.cdist(filters, filters, compute_mode="donot_use_mm_for_euclid_dist")

    return [relative(mean_of_sums(group, rows, ("out",))) for group in groups]
