"""What trials are weighed by, and those that no other beats."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import WorkbenchError, lookup
from workbench.metrics import Metrics

if TYPE_CHECKING:
    from workbench.trial import Trial


def _speed(metrics: Metrics) -> float:
    return metrics.speedup.value if metrics.speedup else math.nan


OBJECTIVES: dict[str, Callable[[Metrics], float]] = {
    "score": lambda m: m.score.utility,
    "accuracy": lambda m: m.accuracy.value if m.accuracy else math.nan,
    "size_bytes": lambda m: -m.size_bytes,
    "latency": _speed,
    "speedup": _speed,
    "macs": lambda m: -m.macs,
    "parameters": lambda m: -m.parameters,
    "memory": lambda m: -m.process.peak_bytes if m.process else math.nan,
    "energy": lambda m: -m.energy.millijoules if m.energy else math.nan,
}
"""By name, a figure of a trial, the larger the better; NaN where it was not measured or is not claimed."""


def front(trials: Sequence["Trial"], names: Sequence[str]) -> list["Trial"]:
    """The measured trials that no other beats on every objective at once.

    Parameters
    ----------
    trials : sequence of Trial
    names : sequence of str
        Of `OBJECTIVES`. A trial without a figure for one of them is left out. Energies of which some were measured and
        others estimated are not compared: then only the measured ones count.

    Raises
    ------
    WorkbenchError
        On an unknown objective, or one that no trial has.
    """
    for name in names:
        lookup(OBJECTIVES, name, "objective")
    measured = [(trial, trial.metrics) for trial in trials if trial.metrics]
    if not measured:
        return []
    table = np.array([[_figure(trial, metrics, name) for name in names] for trial, metrics in measured])
    if "energy" in names and any(m.energy and m.energy.measured for _, m in measured):
        estimated = [not (m.energy and m.energy.measured) for _, m in measured]
        table[estimated, list(names).index("energy")] = math.nan
    for name, column in zip(names, table.T, strict=False):
        if np.isnan(column).all():
            raise WorkbenchError(
                f"No trial has the objective '{name}'.",
                "Choose 'score', which every model has." if name == "accuracy" else "Choose another one.",
            )
    known = np.isfinite(table).all(axis=1).nonzero()[0]
    return [measured[index][0] for index in known[unbeaten(table[known])]]


def unbeaten(rows: np.ndarray) -> np.ndarray:
    """Whether no other row beats a row: as good in every column, and better in one.

    Parameters
    ----------
    rows : numpy.ndarray
        Shape (N, objectives), float64, the larger the better.

    Returns
    -------
    numpy.ndarray
        Shape (N,), bool.
    """
    different, place = np.unique(rows, axis=0, return_inverse=True)  # sorted: whatever beats a row comes after it
    kept = np.zeros(len(different), dtype=bool)
    for index in reversed(range(len(different))):
        row, others = different[index], different[kept]
        kept[index] = not ((others >= row).all(axis=1) & (others > row).any(axis=1)).any()
    return kept[place.reshape(-1)]


def _figure(trial: "Trial", metrics: Metrics, name: str) -> float:
    # the baseline is as fast as itself
    alone = name in ("latency", "speedup") and not len(trial.recipe) and metrics.speedup is None
    return 1.0 if alone else float(OBJECTIVES[name](metrics))
