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
    known = [(trial, row) for (trial, _), row in zip(measured, table, strict=True) if np.isfinite(row).all()]
    rows = np.array([row for _, row in known])
    found = []
    for index, (trial, row) in enumerate(known):
        others = np.delete(rows, index, axis=0)
        if not ((others >= row).all(axis=1) & (others > row).any(axis=1)).any():
            found.append(trial)
    return found


def _figure(trial: "Trial", metrics: Metrics, name: str) -> float:
    # the baseline is as fast as itself
    alone = name in ("latency", "speedup") and not len(trial.recipe) and metrics.speedup is None
    return 1.0 if alone else float(OBJECTIVES[name](metrics))
