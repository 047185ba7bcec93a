"""What a search is after: objectives and limits, by the names that people use, taken from metrics or predictions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import WorkbenchError, lookup
from workbench.estimates import Estimate
from workbench.metrics import Metrics, bytes_text
from workbench.prediction import Prediction

Figure = float | Estimate | None


@dataclass(frozen=True)
class Quantity:
    """Something that can be made better, or kept within a limit.

    Attributes
    ----------
    name : str
    better : int
        1 where more is better, -1 where less is.
    measured, predicted : callable
        From what was measured or predicted of a trial, and the baseline's metrics, to the figure; None where there is
        none.
    text : callable
        A figure for people.
    """

    name: str
    better: int
    measured: Callable[[Metrics, Metrics], float | None]
    predicted: Callable[[Prediction, Metrics], Figure]
    text: Callable[[float], str]

    @property
    def title(self) -> str:
        """Its name for people."""
        return TITLES.get(self.name, self.name)


SCALED = 0.10  # of accuracy, or of a score's utility: what counts as the whole way from the baseline to the reference
LEAST = 1e-12  # of a figure whose logarithm is taken
FOLD = 100.0  # times smaller or faster: what counts as the whole way from the baseline to the ideal
SCORES = ("accuracy", "accuracy_drop", "score", "score_drop")
TITLES = {
    "score_drop": "score lost",
    "accuracy_drop": "accuracy lost",
    "size_bytes": "file size",
    "speedup": "speed-up",
    "macs": "operations",
}


def _latency(metrics: Metrics, baseline: Metrics) -> float | None:
    """On the baseline's scale, as only paired figures can be compared."""
    whole = baseline.latency.value if baseline.latency else None
    if metrics.speedup is None:
        return whole if metrics.latency is not None and not metrics.simulated and metrics == baseline else None
    return whole / metrics.speedup.value if whole else None


def _told_alike(metrics: Metrics, baseline: Metrics) -> bool:
    """Whether both energies were measured, or both come from the model: one says nothing of the other."""
    return bool(metrics.energy and baseline.energy and metrics.energy.measured == baseline.energy.measured)


def _accuracy(metrics: Metrics) -> float | None:
    return metrics.accuracy.value if metrics.accuracy else None


def _drop(accuracy: Figure, baseline: Metrics) -> Figure:
    if isinstance(accuracy, Estimate):
        top = baseline.score.value
        return Estimate(value=top - accuracy.value, low=top - accuracy.high, high=top - accuracy.low)
    return None


def _percent(value: float) -> str:
    return f"{value:.2%}"


QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity("accuracy", 1, lambda m, b: _accuracy(m), lambda p, b: p.accuracy, _percent),
        Quantity(
            "accuracy_drop",
            -1,
            lambda m, b: b.accuracy.value - m.accuracy.value if m.accuracy and b.accuracy else None,
            lambda p, b: _drop(p.accuracy, b),
            lambda value: f"{100 * value:.2f} points",
        ),
        Quantity("score", 1, lambda m, b: m.score.utility, lambda p, b: p.accuracy, lambda value: f"{value:.4g}"),
        Quantity(
            "score_drop",
            -1,
            lambda m, b: b.score.utility - m.score.utility,
            lambda p, b: _drop(p.accuracy, b),
            lambda value: f"{value:.4g}",
        ),
        Quantity("size_bytes", -1, lambda m, b: m.size_bytes, lambda p, b: p.size_bytes, bytes_text),
        Quantity("latency", -1, _latency, lambda p, b: p.latency, lambda value: f"{value:.3g} ms"),
        Quantity(
            "speedup",
            1,
            lambda m, b: m.speedup.value if m.speedup else (1.0 if m == b else None),
            lambda p, b: p.speedup,
            lambda value: f"{value:.2f}x",
        ),
        Quantity("macs", -1, lambda m, b: m.macs, lambda p, b: p.macs, lambda value: f"{value:,.0f} MACs"),
        Quantity(
            "parameters",
            -1,
            lambda m, b: m.parameters,
            lambda p, b: p.parameters,
            lambda value: f"{value:,.0f} parameters",
        ),
        Quantity(
            "memory", -1, lambda m, b: m.process.peak_bytes if m.process else None, lambda p, b: p.memory, bytes_text
        ),
        Quantity(
            "energy",
            -1,
            lambda m, b: m.energy.millijoules if m.energy and _told_alike(m, b) else None,
            lambda p, b: p.energy,
            lambda value: f"{value:.3g} mJ",
        ),
    )
}


@dataclass(frozen=True)
class Goal:
    """Objectives, all at once, under limits.

    Attributes
    ----------
    objectives : tuple of str
        The first counts most where one trial has to be chosen.
    limits : dict of str to float
        The most of what is better less, the least of what is better more.
    """

    objectives: tuple[str, ...]
    limits: dict[str, float]

    @classmethod
    def of(cls, objectives: Sequence[str] | str, limits: Mapping[str, float] | None, baseline: Metrics) -> "Goal":
        """Checked against what there is.

        Raises
        ------
        WorkbenchError
            On a name that isn't known, a limit that nothing can keep, or what wasn't measured of the baseline.
        """
        goal = cls.named(objectives, limits)
        for name in (*goal.objectives, *goal.limits):
            if QUANTITIES[name].measured(baseline, baseline) is None:
                raise WorkbenchError(
                    f"This study doesn't measure {name}.", "Choose another objective, runtime or device."
                )
        return goal

    @classmethod
    def named(cls, objectives: Sequence[str] | str, limits: Mapping[str, float] | None) -> "Goal":
        """Checked as far as that needs no baseline.

        Raises
        ------
        WorkbenchError
            On a name that isn't known, or a limit that nothing can keep.
        """
        names = (objectives,) if isinstance(objectives, str) else tuple(dict.fromkeys(objectives))
        if not names:
            raise WorkbenchError("A search needs an objective.", f"Choose from: {', '.join(QUANTITIES)}.")
        for name in (*names, *(limits or {})):
            lookup(QUANTITIES, name, "objective")
        known = {name: number(name, limit) for name, limit in (limits or {}).items()}
        for name, limit in known.items():
            _possible(name, limit)
        return cls(names, known)

    def values(self, metrics: Metrics, baseline: Metrics) -> list[float] | None:
        """The objectives of what was measured; None where one of them is not known, or not a number."""
        found = [QUANTITIES[name].measured(metrics, baseline) for name in self.objectives]
        known = [float(value) for value in found if value is not None and np.isfinite(value)]
        return known if len(known) == len(found) else None

    def violations(self, metrics: Metrics, baseline: Metrics) -> dict[str, float]:
        """By how much each limit is broken, as a share of what it is relative to; 0 or less where it is kept."""
        return {
            name: violation(name, limit, QUANTITIES[name].measured(metrics, baseline), baseline)
            for name, limit in self.limits.items()
        }

    def kept(self, metrics: Metrics, baseline: Metrics) -> bool:
        """Whether every limit is."""
        return all(over <= 0 for over in self.violations(metrics, baseline).values())


def violation(name: str, limit: float, value: float | None, baseline: Metrics) -> float:
    """By how much a figure breaks a limit, relative to the baseline's own; infinite where there is no figure."""
    if value is None or np.isnan(value):
        return float("inf")
    quantity = QUANTITIES[name]
    scale = 1.0 if name in SCORES else abs(quantity.measured(baseline, baseline) or 1.0)
    return -quantity.better * (value - limit) / scale


def hypervolume(points: np.ndarray) -> float:
    """The share of the box between the ideal (0, ...) and the reference (1, ...) that points dominate.

    Parameters
    ----------
    points : numpy.ndarray
        Shape (points, objectives), each to be minimized; see `normalized`.
    """
    import moocore

    inside = points[(points < 1).all(axis=1)] if len(points) else points
    return float(moocore.hypervolume(inside, ref=np.ones(points.shape[1]))) if len(inside) else 0.0


def normalized(values: Sequence[float], goal: Goal, baseline: Metrics) -> list[float]:
    """Objectives on one scale: 0 is ideal, 1 the baseline's own figure; for accuracy 10 points below the baseline.

    Accuracy: share of 10 points lost; any other score likewise, by its utility. Everything else counts by how many
    times better it is, up to a hundred times, each doubling alike: half the bytes are worth as much where little is
    left as they were at first.
    """
    out = []
    for name, value in zip(goal.objectives, values, strict=True):
        quantity = QUANTITIES[name]
        own = quantity.measured(baseline, baseline) or 1.0
        if not np.isfinite(value):
            out.append(float("inf"))
        elif name in ("accuracy", "score"):
            out.append(max(0.0, (quantity.measured(baseline, baseline) or 0.0) - value) / SCALED)
        elif name in ("accuracy_drop", "score_drop"):
            out.append(max(0.0, value / SCALED))
        else:
            times = own / max(value, LEAST) if quantity.better < 0 else max(value, LEAST) / own
            out.append(max(0.0, 1 - float(np.log(times) / np.log(FOLD))))
    return out


def number(name: str, limit: object) -> float:
    """A limit as a number; raises `WorkbenchError` where it is none."""
    try:
        return float(limit)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise WorkbenchError(
            f"The limit of {name} can't be {limit!r}.", "Give a number, in the unit that trials are told in."
        ) from None


def _possible(name: str, limit: float) -> None:
    if name == "accuracy" and not 0 <= limit <= 1:
        raise WorkbenchError(f"An accuracy of {limit:g} can't be.", "Give a share between 0 and 1, such as 0.97.")
    if name == "accuracy_drop" and not 0 <= limit < 1:
        raise WorkbenchError(
            f"A drop in accuracy of {limit:g} can't be a limit.", "Give a share from 0 on: 0.01 is one point."
        )
    if name == "score":
        raise WorkbenchError("A score differs from task to task, so it has no limit.", "Limit score_drop instead.")
    if name not in SCORES and not limit > 0:
        raise WorkbenchError(f"{name} can't be at {limit:g}.", "Give a limit above 0.")
