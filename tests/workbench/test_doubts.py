"""What to doubt: what was measured elsewhere, or while something else went on, is said."""

from types import SimpleNamespace

import pytest

from workbench.doubts import doubts, measured_on
from workbench.machine import Machine
from workbench.metrics import Conditions, Metrics, Parity

HERE = {"runtime": "onnxruntime", "version": "1.31", "device": "cpu", "processor": "Here", "threads": 1, "batch": 1}


def trial(number: int, **conditions: object) -> SimpleNamespace:
    """A trial of which nothing is to be doubted, but for its conditions."""
    known = {"split": "validation", "samples": 10_000, "accuracy": {"value": 0.9, "low": 0.89, "high": 0.91}}
    known |= {"size_bytes": 1, "theoretical_bytes": 1, "macs": 1, "parameters": 1, "nonzero_parameters": 1}
    known |= {"parity": Parity(samples=256, largest_difference=0.0, same_answers=1.0)}
    where = (
        None if conditions.get("runtime", "") is None else Conditions(**HERE | {"blocks": 9, "noise": 0.0} | conditions)
    )
    metrics = Metrics(**known, conditions=where)
    return SimpleNamespace(number=number, recipe=[1] * (number > 0), metrics=metrics, state="complete")


def said(*trials: SimpleNamespace) -> list[str]:
    return doubts(SimpleNamespace(trials=list(trials)))


def test_of_a_real_study_few_samples_and_failures_are_doubted(study) -> None:
    told = " ".join(doubts(study))
    assert "500 samples only" in told
    assert "What trial 2 would have given is unknown: failed." in told


def test_of_trials_of_a_quiet_machine_there_is_nothing_to_doubt() -> None:
    assert said(trial(0), trial(1)) == ["None that the workbench could find."]
    assert measured_on([trial(0), trial(1)]) == {"Here, ONNX Runtime 1.31": "all trials that were timed"}


@pytest.mark.parametrize(
    ("disturbed", "by"),
    [
        ({"noise": 0.3}, "its own speed varied by 30%"),
        ({"drift": 0.2}, "the speed-up drifted by 20%"),
        ({"machine": Machine(others=0.6)}, "other programs took 60% of its processors"),
        ({"machine": Machine(stolen=0.2)}, "the hypervisor gave 20% of them to other machines"),
        ({"machine": Machine(fastest_clock=3_000, slowest_clock=1_500)}, "its clock fell from 3000 to 1500 MHz"),
    ],
)
def test_whatever_disturbed_a_timing_is_a_doubt(disturbed: dict, by: str) -> None:
    assert said(trial(0), trial(1, **disturbed)) == [f"The machine was noisy while trial 1 was timed: {by}."]


def test_many_disturbed_trials_are_one_doubt() -> None:
    told = said(trial(0), *(trial(number, noise=0.3) for number in range(1, 5)))
    assert told == ["The machine was noisy while trials 1, 2, 3 and 4 were timed: by what, is told with each of them."]


def test_several_machines_are_listed_with_their_trials_and_doubted() -> None:
    trials = [trial(0), trial(1, processor="There"), trial(2), trial(3, runtime=None)]
    (doubt,) = said(*trials)
    assert "different machines (Here: trials 0 and 2; There: trial 1)" in doubt
    assert measured_on(trials) == {"Here, ONNX Runtime 1.31": "trials 0 and 2", "There, ONNX Runtime 1.31": "trial 1"}


def test_several_versions_are_too_but_not_several_runtimes() -> None:
    trials = [trial(0, version="1.30"), trial(1), trial(2, runtime="packed", version="1.31, constriction 0.4")]
    (doubt,) = said(*trials)
    assert "different versions (ONNX Runtime 1.30: trial 0; ONNX Runtime 1.31: trial 1)" in doubt
    assert said(trials[1], trials[2]) == ["None that the workbench could find."]
    assert len(measured_on(trials)) == 3
