"""Anchor points: a few validation samples by which a recipe is judged in milliseconds, without carrying it out."""

import threading
from typing import TYPE_CHECKING

import torch

from workbench import lines
from workbench.prediction.changes import Changes
from workbench.prediction.lean import Lean
from workbench.prediction.points import LEAST, Estimator, Points
from workbench.prediction.prospect import Prospect

if TYPE_CHECKING:
    from workbench.study import Study

ANCHORS = "anchors.safetensors"


class Anchors:
    """A study's anchor points, and what they tell of changed models.

    How a model is changed in a moment is told at `workbench.prediction.changes`, what is told of its answers at
    `workbench.prediction.points`.

    Parameters
    ----------
    study : Study
    points : Points

    Attributes
    ----------
    name : str
        What tells these from others.
    """

    def __init__(self, study: "Study", points: Points):
        self.study, self.points, self.name = study, points, points.name
        split, samples = study.dataset.validation, points.samples
        self._estimator = Estimator(points, split.labels[samples])
        inputs = torch.from_numpy(study.dataset.prepare(split.inputs[samples[points.places]]))
        self._lean = Lean.of(study.module, inputs)
        self._changes = Changes(self._lean.module, study.outline)
        self._whole = max(self._now(), LEAST)
        self._changing = threading.Lock()  # a page and a cell may ask at the same time
        self._path = study.path / "prediction" / f"shares-{self.name}.jsonl"
        self._known = {fact["change"]: fact["share"] for fact in lines.read(self._path)}

    def kept(self, prospect: Prospect, keep: bool = False) -> float | None:
        """Roughly the share answered right after a recipe without its trainings, over that of the unchanged model.

        None where it can't be said.

        Parameters
        ----------
        prospect : Prospect
        keep : bool
            Keep it in the study, as it will be asked for again.
        """
        change = self._changes.of(prospect)
        if change is None:
            return None
        key, enter = change
        with self._changing:
            if key not in self._known:
                with enter():
                    self._known[key] = self._now()
                if keep:
                    lines.append(self._path, {"change": key, "share": self._known[key]})
            return self._known[key] / self._whole

    def _now(self) -> float:
        return self._estimator.share(self._lean.answers().numpy())


def anchors_of(study: "Study", before: Anchors | None = None) -> Anchors | None:
    """The study's anchors, those of `before` where these are the same; None where none were chosen yet."""
    points = Points.kept(study.path / "prediction" / ANCHORS)
    if points is None:
        return None
    return before if before is not None and before.name == points.name else Anchors(study, points)
