"""Scores of single weights: each a function (module, names of its weights, context) that gives a tensor for each name.

The lowest score goes first; only the order counts. One file for each, and the registry of them all.
"""

from collections.abc import Callable

from torch import Tensor, nn

from workbench.pruning.scores.hessian import hessian
from workbench.pruning.scores.lamp import lamp
from workbench.pruning.scores.magnitude import magnitude
from workbench.pruning.scores.random import random
from workbench.pruning.scores.taylor import taylor
from workbench.steps.base import Context

Scores = dict[str, Tensor]
SCORES: dict[str, Callable[[nn.Module, list[str], Context], Scores]] = {
    "l1": magnitude,
    "l2": magnitude,  # orders single weights as L1 does
    "taylor": taylor,
    "hessian": hessian,
    "lamp": lamp,
    "random": random,
}

__all__ = ["SCORES", "Scores"]
