"""Filters with small weights go first."""

from torch import nn

from workbench.pruning.groups import Group
from workbench.pruning.importance.base import Scores, mean_of_sums, relative, weights_of
from workbench.steps.base import Context


def l1(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """``sum |w|`` over the filter's weights, relative to the group's mean.

    References
    ----------
    Li et al.: Pruning Filters for Efficient ConvNets, 2017 (arXiv 1608.08710).
    """
    return [relative(mean_of_sums(group, lambda m: weights_of(module, m).abs(), ("out",))) for group in groups]
