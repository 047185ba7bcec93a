"""What recipes that begin alike share: the model as a training left it, which need not be trained a second time."""

import copy
import json
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.recipe import Recipe
from workbench.steps.base import Work
from workbench.steps.finetune import Training

if TYPE_CHECKING:
    from workbench.study import Study

MOST = 256 * 2**20
"""Bytes that are kept in the memory of this process; the longest unused go first."""
FACT = 500  # bytes of a fact, about
_kept: "OrderedDict[str, Start]" = OrderedDict()


@dataclass(frozen=True)
class Start:
    """A recipe that is done as far as the end of one of its trainings.

    Attributes
    ----------
    work : Work
    steps : int
        How many of the recipe's are done.
    seconds : float
        What these took.
    facts : list of dict
        What was told of their progress.
    """

    work: Work
    steps: int = 0
    seconds: float = 0.0
    facts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """What it takes in memory: its weights, and some hundred bytes for each fact."""
        weights = sum(tensor.nbytes for tensor in self.work.module.state_dict().values())
        return weights + FACT * len(self.facts)


def keep(study: "Study", recipe: Recipe, start: Start) -> None:
    """Keep a copy of what the first steps of a recipe led to, if the last of them was a training.

    As every step begins with the recipe's seed, going on from the copy gives the weights that doing all of it gives.
    """
    if not isinstance(recipe.steps[start.steps - 1], Training):
        return
    try:
        key = _key(study, recipe, start.steps)
        _kept[key] = copy.deepcopy(start)
        _kept.move_to_end(key)
    except (MemoryError, RuntimeError):  # what can't be copied is trained again when it is needed
        return
    while len(_kept) > 1 and sum(kept.bytes for kept in _kept.values()) > MOST:
        _kept.popitem(last=False)


def begun(study: "Study", recipe: Recipe) -> Start:
    """A copy of the longest start of a recipe that is kept; else the study's own model, of which nothing is done."""
    for key in _keys(study, recipe):
        if key in _kept:
            _kept.move_to_end(key)
            return copy.deepcopy(_kept[key])
    return Start(Work(copy.deepcopy(study.module)))


def done(study: "Study", recipe: Recipe) -> int:
    """How many of the first steps of a recipe need not be done."""
    return next((_kept[key].steps for key in _keys(study, recipe) if key in _kept), 0)


def forget() -> None:
    """Keep nothing."""
    _kept.clear()


def _keys(study: "Study", recipe: Recipe) -> Iterator[str]:
    """Of each start of a recipe, the longest first."""
    return (_key(study, recipe, steps) for steps in range(len(recipe), 0, -1))


def _key(study: "Study", recipe: Recipe, steps: int) -> str:
    return json.dumps([str(study.path), study.settings, recipe.seed, recipe.to_dict()["steps"][:steps]])
