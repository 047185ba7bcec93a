"""The accuracy of recipes without their trainings: by anchor points where these can tell, by curves elsewhere."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from workbench.estimates import Estimate
from workbench.prediction import features
from workbench.prediction.accuracy import MOST, AccuracyModel
from workbench.prediction.anchors import Anchors
from workbench.prediction.curves import Curves, single
from workbench.prediction.prospect import Prospect
from workbench.steps import Prune

FEWEST = 3  # observations that anchors tell of, to learn from
Observed = tuple[Prospect, float, int]
"""A recipe, the share answered right without its trainings, and of how many samples."""


class Untrained:
    """Two models of what was observed.

    Parameters
    ----------
    observed : sequence of Observed
        The last of them count, where there are many.
    curves : Curves
        Of the same recipes.
    anchors : Anchors or None
    whole : Observed
        The unchanged model, judged by all samples.
    chance : float
        The accuracy of a guess.
    """

    def __init__(
        self, observed: Sequence[Observed], curves: Curves, anchors: Anchors | None, whole: Observed, chance: float
    ):
        self._curves, self._anchors, self._chance = curves, anchors, chance
        _, self._top, self._total = whole
        recent = list(observed[-MOST:])
        # how far curves of one importance hold for another is learned where both are known
        foreign = [(seen, True) for seen in recent if (step := single(seen[0])) and _foreign(step)]
        self._learned = foreign + [(seen, False) for seen in recent]
        self._by_anchors = self._learned_by_anchors()  # at once: it is asked again and again, for a moment each

    def at(self, prospect: Prospect, keep: bool = False) -> Estimate:
        """Mean and interval; what anchors told may be kept in the study."""
        anchored = self._anchored(prospect, keep)
        if anchored is None or self._by_anchors is None:
            return self._by_curves.at(features.by_curves(prospect, self._curves), self._chance)
        return self._by_anchors.at(features.by_anchors(prospect, self._curves, anchored), self._chance)

    def _anchored(self, prospect: Prospect, keep: bool) -> float | None:
        kept = self._anchors.kept(prospect, keep) if self._anchors else None
        return None if kept is None else self._top * kept

    @cached_property
    def _by_curves(self) -> AccuracyModel:
        rows = [
            features.by_curves(prospect, self._curves, known=not strange, strange=strange)
            for (prospect, *_), strange in self._learned
        ]
        return self._fitted(rows, [seen for seen, _ in self._learned])

    def _learned_by_anchors(self) -> AccuracyModel | None:
        told = [
            (seen, strange, anchored)
            for seen, strange in self._learned
            if (anchored := self._anchored(seen[0], keep=True)) is not None
        ]
        if len(told) < FEWEST:
            return None
        rows = [
            features.by_anchors(prospect, self._curves, anchored, known=not strange, strange=strange)
            for (prospect, *_), strange, anchored in told
        ]
        return self._fitted(rows, [seen for seen, *_ in told], about=True)

    def _fitted(self, rows: list[np.ndarray], observed: Sequence[Observed], about: bool = False) -> AccuracyModel:
        _, shares, samples = zip(*observed, strict=True)
        return AccuracyModel(rows, shares, samples, self._total, about)


def _foreign(step: Prune) -> bool:
    return step.granularity == "channel" and step.importance != "l2" and (step.scope, step.round_to) == ("layer", 1)
