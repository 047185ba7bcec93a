"""Units go first all of whose weights are small, also those that later layers take them in with."""

from torch import nn

from workbench.pruning.groups import Group
from workbench.pruning.importance.base import Scores, mean_of_sums, relative, weights_of
from workbench.steps.base import Context


def group_norm(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """The mean of ``sum w^2`` over all weights that go with the unit, relative to the group's mean.

    Those are the filters that compute it, the norms that scale it, and what later layers take of it.

    References
    ----------
    Fang et al.: DepGraph: Towards Any Structural Pruning, 2023 (arXiv 2301.12900).
    """
    return [relative(mean_of_sums(group, lambda m: weights_of(module, m).square())) for group in groups]
