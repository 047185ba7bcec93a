"""The accuracy of recipes without their trainings: by anchor points where these can tell, by curves elsewhere."""

from collections.abc import Sequence
from functools import cached_property

from workbench.estimates import Estimate
from workbench.prediction import features
from workbench.prediction.accuracy import MOST, AccuracyModel
from workbench.prediction.anchors import Anchors
from workbench.prediction.curves import Curves, single
from workbench.prediction.prospect import Prospect
from workbench.steps import Prune

Observed = tuple[Prospect, float, int]
"""A recipe, the share answered right without its trainings, and of how many samples."""


class Untrained:
    """Two models of what was observed, each fitted when it is first asked.

    Parameters
    ----------
    observed : sequence of Observed
        The last of them count, where there are many.
    curves : Curves
        Of the same recipes.
    anchors : Anchors or None
    top, chance : float
        The accuracy of the unchanged model, and that of a guess.
    """

    def __init__(
        self, observed: Sequence[Observed], curves: Curves, anchors: Anchors | None, top: float, chance: float
    ):
        self._curves, self._anchors, self._top, self._chance = curves, anchors, top, chance
        recent = list(observed[-MOST:])
        # how far curves of one importance hold for another is learned where both are known
        foreign = [(seen, True) for seen in recent if (step := single(seen[0])) and _foreign(step)]
        self._learned = foreign + [(seen, False) for seen in recent]

    def at(self, prospect: Prospect, keep: bool = False) -> Estimate:
        """Mean and interval; what anchors told may be kept in the study."""
        anchored = self._anchored(prospect, keep)
        if anchored is None:
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
        return AccuracyModel(rows, *self._targets([seen for seen, _ in self._learned]))

    @cached_property
    def _by_anchors(self) -> AccuracyModel:
        told = [
            (seen, strange, anchored)
            for seen, strange in self._learned
            if (anchored := self._anchored(seen[0], keep=True)) is not None
        ]
        rows = [
            features.by_anchors(prospect, self._curves, anchored, known=not strange, strange=strange)
            for (prospect, *_), strange, anchored in told
        ]
        return AccuracyModel(rows, *self._targets([seen for seen, *_ in told]), about=True)

    @staticmethod
    def _targets(observed: Sequence[Observed]) -> tuple[list[float], list[int]]:
        return [share for _, share, _ in observed], [samples for *_, samples in observed]


def _foreign(step: Prune) -> bool:
    return step.granularity == "channel" and step.importance != "l2" and (step.scope, step.round_to) == ("layer", 1)
