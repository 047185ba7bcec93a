"""What a channel, a head or a block is worth: each importance a function (groups, module, context), one file each.

It gives for each group one score per unit, shape (units,), or None where it has nothing to go by; the lowest go first.
Scores of several layers are compared with each other when the scope is wider than a layer; norms are divided by their
mean over the group then, as layers differ in scale.
"""

from collections.abc import Callable

from torch import nn

from workbench.pruning.groups import Group
from workbench.pruning.importance.ablation import ablation
from workbench.pruning.importance.apoz import apoz
from workbench.pruning.importance.base import Scores
from workbench.pruning.importance.batch_norm import batch_norm
from workbench.pruning.importance.fpgm import fpgm
from workbench.pruning.importance.group_norm import group_norm
from workbench.pruning.importance.hessian import hessian
from workbench.pruning.importance.l1 import l1
from workbench.pruning.importance.l2 import l2
from workbench.pruning.importance.lamp import lamp
from workbench.pruning.importance.random import random
from workbench.pruning.importance.taylor import taylor
from workbench.steps.base import Context

IMPORTANCES: dict[str, Callable[[list[Group], nn.Module, Context], Scores]] = {
    "l1": l1,
    "l2": l2,
    "group": group_norm,
    "bn": batch_norm,
    "taylor": taylor,
    "hessian": hessian,
    "fpgm": fpgm,
    "lamp": lamp,
    "apoz": apoz,
    "ablation": ablation,
    "random": random,
}

__all__ = ["IMPORTANCES", "Scores"]
