"""Filters that are short beside all longer ones of their layer go first."""

from torch import Tensor, nn

from workbench.pruning.groups import Group
from workbench.pruning.importance.base import Scores
from workbench.pruning.importance.l2 import l2
from workbench.steps.base import Context


def lamp(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """``s_i / sum of s_j over s_j >= s_i``, s the squared L2 norm.

    Within a layer the order is that of L2; the largest filter of each layer scores 1.

    References
    ----------
    Lee et al.: Layer-adaptive Sparsity for the Magnitude-based Pruning, 2021 (arXiv 2010.07611).
    """
    return [None if score is None else _share(score) for score in l2(groups, module, context)]


def _share(squares: Tensor) -> Tensor:
    ordered, order = squares.double().sort(stable=True)
    survivors = ordered.flip(0).cumsum(0).flip(0)  # of each: itself and all that are larger
    return (ordered / survivors.clamp(min=1e-300))[order.argsort()]
