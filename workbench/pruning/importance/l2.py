"""Short filters go first."""

from torch import nn

from workbench.pruning.groups import Group
from workbench.pruning.importance.base import Scores, mean_of_sums, relative, weights_of
from workbench.steps.base import Context


def l2(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """``sum w^2`` over the filter's weights, the square of its length, relative to the group's mean.

    References
    ----------
    Li et al.: Pruning Filters for Efficient ConvNets, 2017 (arXiv 1608.08710), where it is held against L1.
    """
    return [relative(mean_of_sums(group, lambda m: weights_of(module, m).square(), ("out",))) for group in groups]
