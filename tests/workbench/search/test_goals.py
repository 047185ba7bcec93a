"""Objectives, limits, budgets and hypervolumes."""

from datetime import timedelta

import numpy as np
import pytest

from workbench import Study, WorkbenchError
from workbench.energy import Energy
from workbench.metrics import Metrics
from workbench.search.budget import Budget
from workbench.search.goals import QUANTITIES, Goal, hypervolume, normalized


@pytest.fixture
def baseline(study: Study) -> Metrics:
    metrics = study.baseline.metrics
    assert metrics is not None
    return metrics


@pytest.mark.parametrize(
    ("text", "seconds", "trials"),
    [
        ("10 min", 600, None),
        ("90s", 90, None),
        ("1 h", 3600, None),
        ("1.5 minutes", 90, None),
        ("30 trials", None, 30),
        ("1 trial", None, 1),
        (12, None, 12),
        (timedelta(minutes=2), 120, None),
    ],
)
def test_budgets_are_read(text: object, seconds: float | None, trials: int | None) -> None:
    budget = Budget.of(text)  # type: ignore[arg-type]
    assert (budget.seconds, budget.trials) == (seconds, trials)


@pytest.mark.parametrize("text", ["soon", "10", "0 s", 0, -3, True, "5 parsecs", ""])
def test_what_is_no_budget_is_refused(text: object) -> None:
    with pytest.raises(WorkbenchError, match="budget"):
        Budget.of(text)  # type: ignore[arg-type]


def test_every_quantity_of_the_baseline_is_known(baseline: Metrics) -> None:
    values = {name: quantity.measured(baseline, baseline) for name, quantity in QUANTITIES.items()}
    assert values["accuracy_drop"] == 0 and values["speedup"] == 1
    assert all(value is not None for value in values.values())


def test_limits_are_kept_or_broken(study: Study, baseline: Metrics) -> None:
    trial = study.trial(1).metrics
    assert trial is not None
    for limit, kept in ((trial.size_bytes, True), (trial.size_bytes - 1, False)):
        assert Goal.of("accuracy", {"size_bytes": limit}, baseline).kept(trial, baseline) is kept
    for limit, kept in ((trial.accuracy.value, True), (trial.accuracy.value + 1e-6, False)):
        assert Goal.of("speedup", {"accuracy": limit}, baseline).kept(trial, baseline) is kept


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"sise_bytes": 5}, "size_bytes"),
        ({"size_bytes": 0}, "can't be at 0"),
        ({"accuracy": 1.5}, "can't be"),
        ({"accuracy_drop": -0.1}, "can't be a limit"),
        ({"size_bytes": "100 kB"}, "limit of size_bytes can't be '100 kB'"),
    ],
)
def test_limits_that_nothing_keeps_are_refused(limits: dict, says: str, baseline: Metrics) -> None:
    with pytest.raises(WorkbenchError, match=says):
        Goal.of("speedup", limits, baseline)


def test_what_the_study_does_not_measure_is_refused(baseline: Metrics) -> None:
    without = baseline.model_copy(update={"energy": None})
    with pytest.raises(WorkbenchError, match="doesn't measure energy"):
        Goal.of("energy", None, without)


def test_measured_and_modelled_energies_are_not_weighed_together(baseline: Metrics) -> None:
    modelled = Energy(millijoules=2.0, measured=False, source="a model")
    measured = modelled.model_copy(update={"measured": True, "millijoules": 1.0})
    whole, alike, other = (baseline.model_copy(update={"energy": e}) for e in (modelled, modelled, measured))
    goal = Goal.of(["energy"], {"energy": 3.0}, whole)
    assert goal.values(alike, whole) == [2.0] and goal.kept(alike, whole)
    assert goal.values(other, whole) is None and not goal.kept(other, whole)


def test_the_baseline_is_at_the_edge_and_the_ideal_at_the_origin(baseline: Metrics) -> None:
    goal = Goal.of(["accuracy", "size_bytes", "speedup"], None, baseline)
    assert normalized([baseline.accuracy.value, baseline.size_bytes, 1.0], goal, baseline) == [0, 1, 1]
    assert normalized(
        [baseline.accuracy.value - 0.05, baseline.size_bytes / 10, 10.0], goal, baseline
    ) == pytest.approx([0.5, 0.5, 0.5])
    assert normalized([1.0, baseline.size_bytes / 100, 1000.0], goal, baseline) == pytest.approx([0, 0, 0])


def test_a_trial_without_a_score_that_is_a_number_has_no_values(baseline: Metrics) -> None:
    lost = baseline.score.model_copy(update={"value": float("nan"), "low": float("nan"), "high": float("nan")})
    diverged = baseline.model_copy(update={"score": lost})
    goal = Goal.of(["score", "size_bytes"], {"score_drop": 0.1}, baseline)
    assert goal.values(baseline, baseline) is not None and goal.values(diverged, baseline) is None
    assert not goal.kept(diverged, baseline)


def test_what_is_no_number_is_not_ideal(baseline: Metrics) -> None:
    goal = Goal.of(["size_bytes", "accuracy"], None, baseline)
    assert normalized([float("nan"), float("inf")], goal, baseline) == [float("inf")] * 2


def test_each_doubling_counts_alike(baseline: Metrics) -> None:
    goal = Goal.of(["size_bytes", "latency"], None, baseline)
    assert baseline.latency is not None
    rows = [normalized([baseline.size_bytes / n, baseline.latency.value / n], goal, baseline) for n in (1, 2, 4, 8)]
    assert np.ptp(np.diff(np.array(rows), axis=0)) == pytest.approx(0, abs=1e-9)


def test_the_hypervolume_is_that_of_the_union_of_boxes() -> None:
    assert hypervolume(np.empty((0, 2))) == 0
    assert hypervolume(np.array([[0.5, 0.5]])) == pytest.approx(0.25)
    assert hypervolume(np.array([[0.5, 0.5], [0.25, 0.75], [2.0, 0.1]])) == pytest.approx(0.25 + 0.25 * 0.25)
