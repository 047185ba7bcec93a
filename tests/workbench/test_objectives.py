"""The front: what no other trial beats, on every objective that there is."""

from types import SimpleNamespace

import pytest

from workbench import WorkbenchError
from workbench.energy import Energy
from workbench.objectives import OBJECTIVES, front


def _trial(number: int, metrics, **changes) -> SimpleNamespace:
    return SimpleNamespace(number=number, recipe=[1] * number, metrics=metrics.model_copy(update=changes))


def _energy(millijoules: float, measured: bool) -> Energy:
    return Energy(millijoules=millijoules, measured=measured, source="a test")


def _numbers(trials) -> list[int]:
    return [trial.number for trial in trials]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_weighs_the_trials_of_a_study(name, study):
    assert study.pareto([name])


def test_memory_and_energy_are_better_when_lower(study):
    metrics = study.trial(1).metrics
    trials = [_trial(n, metrics, energy=_energy(e, True)) for n, e in enumerate((3.0, 1.0, 2.0))]
    assert _numbers(front(trials, ["energy"])) == [1]
    process = metrics.process
    trials = [
        _trial(n, metrics, process=process.model_copy(update={"peak_bytes": b})) for n, b in enumerate((30, 20, 10))
    ]
    assert _numbers(front(trials, ["memory"])) == [2]
    assert _numbers(front([*trials, _trial(3, metrics, process=None)], ["memory"])) == [2]


def test_an_estimated_energy_is_not_weighed_against_a_measured_one(study):
    metrics = study.trial(1).metrics
    trials = [_trial(0, metrics, energy=_energy(5.0, True)), _trial(1, metrics, energy=_energy(0.1, False))]
    assert _numbers(front(trials, ["energy"])) == [0]
    assert _numbers(front(trials[1:], ["energy"])) == [1]


def test_an_objective_that_nobody_has_or_knows_is_refused(study):
    lost = _trial(1, study.trial(1).metrics, energy=None)
    with pytest.raises(WorkbenchError, match="No trial has the objective 'energy'"):
        front([lost], ["energy"])
    with pytest.raises(WorkbenchError, match="Did you mean 'energy'"):
        front([lost], ["energi"])


def test_a_study_without_trials_has_no_front():
    assert front([], ["score", "size_bytes"]) == []
