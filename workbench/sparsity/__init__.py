"""Ways to prune single weights while training: each a function (work, declaration, context) that edits the work."""

from collections.abc import Callable

from workbench.sparsity.gradual import prune_gradually
from workbench.sparsity.iterative import prune_iteratively
from workbench.sparsity.lottery import draw_ticket
from workbench.sparsity.movement import prune_by_movement
from workbench.steps.base import Context, Work
from workbench.steps.sparsify import Sparsify

METHODS: dict[str, Callable[[Work, Sparsify, Context], None]] = {
    "gradual": prune_gradually,
    "iterative": prune_iteratively,
    "lottery": draw_ticket,
    "movement": prune_by_movement,
}

__all__ = ["METHODS"]
