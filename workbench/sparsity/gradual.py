"""Gradual pruning: more and more of the smallest weights are masked, along a cubic schedule."""

from workbench.sparsity.masks import Mask, train_masked
from workbench.steps.base import Context, Work
from workbench.steps.sparsify import Sparsify


def prune_gradually(work: Work, step: Sparsify, context: Context) -> None:
    """Mask the smallest weights every few updates; what is masked once stays so.

    At the share t of the way, the sparsity is ``s_f + (s_i - s_f) (1 - t)^3``: it rises fast while there is much that
    doesn't matter, and ever more slowly.

    References
    ----------
    Zhu, Gupta: To prune, or not to prune: exploring the efficacy of pruning for model compression, 2017 (arXiv
    1710.01878).
    """
    train_masked(work, step, context, Mask)
