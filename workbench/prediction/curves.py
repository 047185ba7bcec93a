"""Curves: how accuracy falls as more is pruned, for each way of choosing what; between probes, a line."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from workbench.estimates import Estimate, share_of
from workbench.prediction.base import CONFIDENCE
from workbench.prediction.prospect import Prospect
from workbench.sensitivity import Sensitivity
from workbench.steps import Prune

Family = tuple[str, str, str, int]
LEAST_ERROR = 1e-4  # nats; less is as good as none
HARMLESS = 8  # bits: what they cost is less than what the samples leave open
UNFELT = -1.5  # log nats: the model as a whole answers as before
EDGE = 2e-3  # shares nearer to 0 or 1 are taken for this near: their logit says no more


def logit(share: float) -> float:
    """Of a share, kept away from 0 and 1."""
    p = min(max(share, EDGE), 1 - EDGE)
    return math.log(p / (1 - p))


@dataclass(frozen=True)
class Mark:
    """What was found at one ratio: the logit of the accuracy, and how much the layers suffer alone, in log nats."""

    accuracy: float
    damage: float


class Curves:
    """Probes of a single pruning, by granularity, importance, scope and rounding.

    Parameters
    ----------
    unchanged : float
        The accuracy of the model as it is.
    sensitivity : Sensitivity
        What each layer suffers alone.
    """

    def __init__(self, unchanged: float, sensitivity: Sensitivity):
        self.start = Mark(logit(unchanged), math.log10(LEAST_ERROR))
        self.sensitivity = sensitivity
        self._known: dict[Family, dict[float, Mark]] = defaultdict(dict)
        self._cuts: dict[tuple, Estimate] = {}

    def add(self, prospect: Prospect, share: float, samples: int) -> None:
        """What came of a recipe, if it is a single pruning."""
        step = single(prospect)
        if step is not None and prospect.quantize is None and prospect.shared is None:
            self._known[family(step)][step.ratio] = Mark(logit(share), self.damage(prospect))
            if (key := _cut(step, prospect)) is not None:
                self._cuts[key] = share_of(round(share * samples), samples, CONFIDENCE)

    def tried(self, prospect: Prospect) -> Estimate | None:
        """What was found of the very same channels, if 8 bits or more are all that is done besides; else None."""
        step, q = single(prospect), prospect.quantize
        rounded = q is not None and (min(prospect.bits.values(), default=8) < HARMLESS or q.activation_bits < HARMLESS)
        if step is None or rounded or prospect.shared is not None or prospect.zeros:
            return None
        key = _cut(step, prospect)
        return self._cuts.get(key) if key is not None else None

    def damage(self, prospect: Prospect) -> float:
        """The logarithm of the sum of what the layers suffer from their ratios, each alone."""
        error = sum(self.sensitivity.error("ratio", name, ratio) for name, ratio in prospect.ratios.items())
        return math.log10(error + LEAST_ERROR)

    def strange(self, prospect: Prospect) -> bool:
        """Whether the recipe prunes by an importance of which no family was probed."""
        step = single(prospect)
        named = {(granularity, importance) for granularity, importance, *_ in self._known}
        return step is not None and (step.granularity, step.importance) not in named

    def at(self, prospect: Prospect, without: bool = False, strange: bool = False) -> float:
        """The logit of the accuracy by the nearest family's curve.

        Of channels it goes along what the layers suffer alone: where widths are rounded, or what is scored low lies in
        few layers, that says more than the ratio. Of single weights it goes along the ratio.

        Parameters
        ----------
        prospect : Prospect
        without : bool
            Leave out what was found at this very ratio: what would be said if it were not known.
        strange : bool
            Leave out all of its importance.
        """
        step = single(prospect)
        if step is None:
            marks = self._known.get(family(Prune()), {})
            return self._along(prospect, marks) if prospect.ratios else self.start.accuracy
        for key in _relatives(step):
            if strange and key[1] == step.importance:
                continue
            marks = dict(self._known.get(key, {}))
            if without and key == family(step):
                marks.pop(step.ratio, None)
            if len(marks) > 1:
                return self._along(prospect, marks, step.ratio if step.granularity == "weight" else None)
        return self.start.accuracy

    def _along(self, prospect: Prospect, marks: Mapping[float, Mark], ratio: float | None = None) -> float:
        """On the line through what was found, at a ratio, or where the layers suffer as much."""
        if ratio is not None:
            known, place = {0.0: self.start.accuracy} | {r: mark.accuracy for r, mark in marks.items()}, ratio
        else:
            felt = {mark.damage: mark.accuracy for mark in marks.values() if mark.damage > UNFELT}
            known, place = {UNFELT: self.start.accuracy} | felt, self.damage(prospect)
        places, accuracies = zip(*sorted(known.items()), strict=True)
        return float(np.interp(place, places, accuracies))


def _cut(step: Prune, prospect: Prospect) -> tuple | None:
    """Which channels are left; None where that is left to chance."""
    if step.granularity != "channel" or step.importance == "random":
        return None
    return step.importance, *sorted(prospect.cut.items())


def single(prospect: Prospect) -> Prune | None:
    """The step that alone prunes, by one ratio for all layers; None where there is none, or more to it."""
    steps = [step for step in prospect.steps if isinstance(step, Prune)]
    plain = len(steps) == 1 and steps[0].target == "none" and not steps[0].layers and not steps[0].threshold
    return steps[0] if plain and steps[0].granularity != "n:m" else None


def family(step: Prune) -> Family:
    """What chooses the units that go, but for how many."""
    return step.granularity, step.importance, step.scope, step.round_to


def _relatives(step: Prune) -> Iterable[Family]:
    """Families by how like they are to a step's own, which is the first."""
    granularity, importance, scope, multiple = family(step)
    usual = "l1" if granularity == "weight" else "l2"
    found = [
        (granularity, name, where, rounding)
        for name in (importance, usual)
        for where, rounding in ((scope, multiple), (scope, 1), ("layer", multiple), ("layer", 1))
    ]
    return dict.fromkeys([*found, ("channel", "l2", "layer", 1)] if granularity != "weight" else found)
