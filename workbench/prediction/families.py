"""Which pruning to try next: of each way of choosing what goes, the ratio about which least is known."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from workbench.errors import WorkbenchError
from workbench.knobs import knobs
from workbench.prediction.prospect import COSTLY
from workbench.recipe import Recipe
from workbench.steps import Prune

GRID = 0.05  # between two ratios
END = 0.95  # where nothing is taken to be left that is better than chance
ENOUGH = 0.03  # of accuracy: between ratios that differ by less, a line will do
SCOPES, MULTIPLES = ("layer", "global", "isomorphic"), (1, 8, 4)
PLAIN = {"channel": "l2", "weight": "l1"}


@dataclass(frozen=True)
class Family:
    """Prunings that differ by their ratio alone."""

    importance: str
    granularity: str = "channel"
    scope: str = "layer"
    round_to: int = 1

    def at(self, ratio: float) -> Recipe:
        """One of them; raises `WorkbenchError` where these knobs can't be combined."""
        return Recipe([Prune.model_validate({**vars(self), "ratio": round(ratio, 2)})])


def families(importances: Iterable[str] | None = None) -> list[Family]:
    """Every family, for the importances that are quick to compute or for these: the plainest of each first."""
    every = [name for knob in knobs(Prune) if knob.name == "importance" for name in knob.choices if name not in COSTLY]
    named = sorted(importances or every, key=lambda name: name != PLAIN["channel"])
    plain = [Family(name, granularity) for granularity in PLAIN for name in named]
    shaped = itertools.product(named, SCOPES, MULTIPLES)
    found = [
        *plain,
        *(Family(name, "channel", scope, multiple) for name, scope, multiple in shaped if name != "random"),
    ]
    return [family for family in dict.fromkeys(found) if _goes(family)]


def _goes(family: Family) -> bool:
    """Whether this granularity can go by this importance at all."""
    try:
        return bool(family.at(0.5))
    except WorkbenchError:
        return False


def explored(
    asked: Iterable[Family], known: Callable[[Recipe], float | None], top: float, chance: float
) -> Iterator[Recipe]:
    """Recipes to try, one of each family in turn, until lines between what was found will do.

    In each family the ratio goes into the widest gap of accuracy, to where the plainest family of its kind has lost
    half of that: curves of one model look alike, and most of their length says nothing.

    Parameters
    ----------
    asked : iterable of Family
    known : callable
        The accuracy that a recipe was found to have; None where it was not tried. Asked again after each.
    top, chance : float
        The accuracy of the whole model, and that of a guess.
    """
    left = list(asked)
    plain = {f.granularity: f for f in reversed(left) if f.importance == PLAIN[f.granularity]}
    tried: set[str] = set()

    def marks(family: Family) -> dict[float, float]:
        ratios = [round(GRID * step, 2) for step in range(1, round(END / GRID))]
        found = {ratio: known(family.at(ratio)) for ratio in ratios}
        return {0.0: top, END: chance} | {ratio: share for ratio, share in found.items() if share is not None}

    while left:
        for family in list(left):
            guide = plain.get(family.granularity)
            ratio = next_ratio(marks(family), marks(guide) if guide not in (None, family) else None)
            recipe = family.at(ratio) if ratio is not None else None
            if recipe is None or recipe.hash in tried:  # what could not be had was told of no accuracy
                left.remove(family)
                continue
            tried.add(recipe.hash)
            yield recipe


def next_ratio(known: Mapping[float, float], guide: Mapping[float, float] | None = None) -> float | None:
    """The ratio to try next; None where accuracy is known well enough all along.

    Parameters
    ----------
    known : mapping
        Accuracy by ratio, both ends included.
    guide : mapping, optional
        The same of a family that is likely to be alike.
    """
    ratios = sorted(known)
    gaps = [
        (abs(known[low] - known[high]), low, high)
        for low, high in itertools.pairwise(ratios)
        if high - low > 1.5 * GRID and abs(known[low] - known[high]) >= ENOUGH
    ]
    if not gaps:
        return None
    _, low, high = max(gaps)
    inside = np.arange(low + GRID, high - GRID / 2, GRID)
    aim, curve = (low + high) / 2, inside
    if guide:
        at = sorted(guide)
        alike = np.interp([low, high, *inside], at, [guide[ratio] for ratio in at])
        if abs(alike[0] - alike[1]) >= ENOUGH:
            aim, curve = (alike[0] + alike[1]) / 2, alike[2:]
    return round(float(inside[np.argmin(np.abs(curve - aim))]), 2)
