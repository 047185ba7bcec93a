"""One knob that is searched, by its declaration and the user's wishes: a choice, or a range."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError, lookup, nearest
from workbench.knobs import Knob, knobs
from workbench.steps import STEPS

ALLOCATION, STRENGTH = "prune.allocation", "prune.strength"
"""Whether the ratio goes to layers as the knobs say, or as a solver advises by the sensitivity of each; how far so."""
ALLOCATIONS = {"knobs": "", "sensitivity": "greedy", "evolution": "evolution"}
"""Ways to allocate, and the solver of each."""
OWN = ".layers."
"""In the name of a dimension, between the step and the layer whose own ratio or bits it is."""

DIGITS = 3  # that count, of what is searched by its logarithm


@dataclass(frozen=True)
class Dimension:
    """One knob that is searched: a choice, or a range."""

    name: str
    choices: tuple = ()
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    whole: bool = False

    def at(self, share: float) -> Any:
        """The value at a share of the range, in [0, 1]."""
        if self.choices:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        if self.log:
            value = float(f"{np.exp(np.log(self.low) + share * (np.log(self.high) - np.log(self.low))):.{DIGITS}g}")
        else:
            value = self.low + share * (self.high - self.low)
        if self.step:
            value = round(self.low + round((value - self.low) / self.step) * self.step, 10)
        return round(value) if self.whole else min(max(value, self.low), self.high)

    def place(self, value: Any) -> float | None:
        """Where a value lies, in [0, 1]; None where it is outside."""
        if self.choices:
            return (self.choices.index(value) + 0.5) / len(self.choices) if value in self.choices else None
        if not isinstance(value, (int, float)) or not self.low <= value <= self.high:
            return None
        if self.log:
            return float((np.log(value) - np.log(self.low)) / (np.log(self.high) - np.log(self.low) or 1))
        return (value - self.low) / (self.high - self.low or 1)


def allocations_of(wishes: Mapping[str, Any]) -> dict[str, Dimension]:
    """The dimensions of how ratios are allocated."""
    ways = wishes.get(ALLOCATION, ["knobs", "sensitivity"])
    choices = tuple(ways) if isinstance(ways, tuple) else _choices(ways)
    for way in choices or ("",):
        lookup(ALLOCATIONS, str(way), "allocation")
    found = {ALLOCATION: Dimension(ALLOCATION, choices)}
    if STRENGTH in wishes:
        wish = wishes[STRENGTH]
        low, high = _ends(STRENGTH, wish if isinstance(wish, tuple) else (wish, wish))
        if not 0 <= low <= high <= 1:
            raise WorkbenchError(f"A strength of {low} to {high} can't be searched.", "Give a range within 0 and 1.")
        found[STRENGTH] = Dimension(STRENGTH, low=low, high=high)
    return found


def dimensions_of(step: str, wishes: Mapping[str, Any], layers: Sequence[str] = ()) -> dict[str, Dimension]:
    """What of a step is searched, by the names of the dimensions.

    Parameters
    ----------
    step : str
        Its name in a recipe file.
    wishes : mapping
        As `Space.of` takes them.
    layers : sequence of str
        That can have a ratio or bits of their own.

    Raises
    ------
    WorkbenchError
        On a knob that the step doesn't have, or a value that its declaration refuses.
    """
    declared = {knob.name: knob for knob in knobs(STEPS[step])}
    for key in wishes:
        owner, _, name = key.partition(".")
        if owner == step and name and name not in declared:
            raise WorkbenchError(f"{STEPS[step].__name__} has no knob '{name}'.", nearest(name, list(declared)))
    found = {}
    for name, knob in declared.items():
        key = f"{step}.{name}"
        if knob.kind == "layers" and key in wishes and _free(wishes[key]):
            for layer in layers:
                own = f"{step}{OWN}{layer}"
                if isinstance(wishes[key], tuple):
                    low, high = _ends(key, wishes[key])
                    _within(key, {layer: low})
                    _within(key, {layer: high})
                    whole = isinstance(low, int) and isinstance(high, int)
                    found[own] = Dimension(own, low=low, high=high, step=None if whole else 0.05, whole=whole)
                else:
                    for choice in wishes[key]:
                        _within(key, {layer: choice})
                    found[own] = Dimension(own, tuple(wishes[key]))
        elif key in wishes or not knob.advanced:
            dimension = _dimension(key, knob, wishes.get(key))
            if dimension is not None:
                found[key] = dimension
    return found


def _free(wish: Any) -> bool:
    """Whether it is a range or choices for each layer, not whole tables to choose from."""
    return isinstance(wish, (tuple, list)) and len(wish) > 1 and all(isinstance(x, (int, float)) for x in wish)


def _dimension(key: str, knob: Knob, wish: Any) -> Dimension | None:
    figures = knob.kind in ("share", "number", "integer")
    if isinstance(wish, tuple) and len(wish) == 2 and figures:
        low, high = _ends(key, wish)
        _within(key, low)
        _within(key, high)
        return _range(key, knob, low, high)
    if wish is not None:
        choices = _choices(wish)
        if not choices:
            raise WorkbenchError(f"There is nothing to choose from for {key}.", "Give at least one value.")
        for choice in choices:
            _within(key, choice)
        return Dimension(key, choices)
    if knob.kind == "choice":
        return Dimension(key, knob.choices)
    if knob.kind == "switch":
        return Dimension(key, (False, True))
    if knob.low is None or knob.high is None:
        return None  # a text or a table has no range
    return _range(key, knob, knob.low, knob.high)


def _choices(wish: Any) -> tuple:
    """What there is to choose from, in the same order in every process."""
    if isinstance(wish, (set, frozenset)):
        return tuple(sorted(wish, key=repr))
    return tuple(wish) if isinstance(wish, list) else (wish,)


def _ends(key: str, wish: tuple) -> tuple[float, float]:
    """The lower and the upper one."""
    if len(wish) != 2:
        raise WorkbenchError(
            f"{key} has a range with {len(wish)} ends.", "Give two, as (0.1, 0.9), or choices in brackets: [0.1, 0.5]."
        )
    low, high = wish
    if not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in wish):
        raise WorkbenchError(f"The range of {key} can't go from {low!r} to {high!r}.", "Give two numbers.")
    if low > high:
        raise WorkbenchError(f"The range of {key} goes from {low:g} to {high:g}.", "Give the lower one first.")
    return low, high


def _range(key: str, knob: Knob, low: float, high: float) -> Dimension:
    step = None if knob.log else knob.step
    return Dimension(key, low=low, high=high, step=step, log=knob.log, whole=knob.kind == "integer")


def _within(key: str, value: Any) -> None:
    """Let the declaration judge: what it refuses is not searched."""
    step, _, name = key.partition(".")
    STEPS[step](**{name: value})
