"""Ways to prune, by granularity: each a function (work, declaration, context) that edits the work in place."""

from collections.abc import Callable

from workbench.pruning.n_of_m import prune_n_of_m
from workbench.pruning.structured import prune_structure
from workbench.pruning.weights import prune_weights
from workbench.steps.base import Context, Work
from workbench.steps.prune import Prune

GRANULARITIES: dict[str, Callable[[Work, Prune, Context], None]] = {
    "channel": prune_structure,
    "mlp": prune_structure,
    "head": prune_structure,
    "block": prune_structure,
    "weight": prune_weights,
    "n:m": prune_n_of_m,
}

__all__ = ["GRANULARITIES"]
