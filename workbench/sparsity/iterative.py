"""Iterative pruning: prune a little, train, prune again."""

from workbench.pruning.weights import Goal, own_ratios, prunable, scores, set_zeros
from workbench.steps.base import Context, Work
from workbench.steps.sparsify import Sparsify


def prune_iteratively(work: Work, step: Sparsify, context: Context) -> None:
    """In each round zero the smallest weights and train the others; each removes the same share of what is left.

    After round r of R the sparsity is ``1 - (1 - s)^(r / R)``.

    References
    ----------
    Han et al.: Learning both Weights and Connections for Efficient Neural Networks, 2015 (arXiv 1506.02626).
    """
    for index in range(step.rounds):
        prune_smallest(work, step, context, (index + 1) / step.rounds)
        step.learn(work, context.part(index, step.rounds))


def prune_smallest(work: Work, step: Sparsify, context: Context, way: float) -> None:
    """Zero the smallest weights, as many as are due at the share `way` of all rounds."""
    names = prunable(work.module)
    goal = Goal(step.ratio, step.scope, own_ratios(step.layers, names)).at(lambda s: 1 - (1 - s) ** way)
    set_zeros(work, goal.keep(scores(work.module, names, "l2", context)))
