"""Predicted against measured: how far predictions can be trusted in this study."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.estimates import Estimate
from workbench.prediction.base import CONFIDENCE

if TYPE_CHECKING:
    from workbench.trial import Trial

LOOKED = "looked"  # accuracy as well, where the recipe was tried on samples without its trainings before
FIGURES = {
    "accuracy": "Accuracy",
    LOOKED: "Accuracy after a look at some samples",
    "size_bytes": "File size",
    "speedup": "Speed",
}
SHARES = ("accuracy", LOOKED)


@dataclass(frozen=True)
class Calibration:
    """One figure over all trials that were foreseen before they ran.

    Attributes
    ----------
    name : str
        Of `FIGURES`.
    trials : list of int
        Their numbers.
    predicted : list of Estimate
    measured : list of float
    """

    name: str
    trials: list[int]
    predicted: list[Estimate]
    measured: list[float]

    @property
    def held(self) -> float:
        """The share of intervals that hold what was measured; 90 % of them should."""
        inside = [p.low <= m <= p.high for p, m in zip(self.predicted, self.measured, strict=True)]
        return sum(inside) / len(inside)

    @property
    def error(self) -> float:
        """The mean absolute error: of accuracy as a share, of all else relative to what was measured."""
        errors = [
            abs(p.value - m) / (1.0 if self.name in SHARES else m)
            for p, m in zip(self.predicted, self.measured, strict=True)
        ]
        return sum(errors) / len(errors)

    def sentence(self) -> str:
        """How well this figure was foreseen."""
        off = f"{100 * self.error:.1f} points" if self.name in SHARES else f"{self.error:.0%}"
        return (
            f"{FIGURES[self.name]}: foreseen for {len(self.trials)} trials, off by {off} on average; "
            f"{self.held:.0%} of the {CONFIDENCE:.0%} intervals held."
        )


def calibrations(trials: "Iterable[Trial]") -> list[Calibration]:
    """Every figure that was both foreseen and measured of some trial."""
    found = {name: Calibration(name, [], [], []) for name in FIGURES}
    for trial in trials:
        if trial.metrics is None or trial.prediction is None:
            continue
        for name, mine in found.items():
            if name in SHARES and trial.prediction.looked != (name == LOOKED):
                continue
            figure = "accuracy" if name == LOOKED else name
            predicted, measured = getattr(trial.prediction, figure), getattr(trial.metrics, figure)
            if predicted is not None and measured is not None:
                mine.trials.append(trial.number)
                mine.predicted.append(predicted)
                mine.measured.append(float(measured))
    return [mine for mine in found.values() if mine.trials]
