"""One trial against another: the same verdicts as against the baseline, and honest where nothing was timed."""

import pytest

from workbench import WorkbenchError
from workbench.estimates import Estimate
from workbench.pair import Pair
from workbench.trial import Trial


def changed(study, number, **metrics):
    record = study.storage.record(number)
    return Trial(study, record.model_copy(update={"metrics": record.metrics.model_copy(update=metrics)}))


def test_against_the_baseline_it_says_what_was_stored(study):
    pair, stored = Pair(study.baseline, study.trial(1)), study.trial(1).metrics
    assert pair.flips == (stored.fixed, stored.broken)
    assert pair.score_verdict == stored.score_verdict
    assert pair.speedup == stored.speedup
    assert pair.verdict == stored.verdict


def test_a_trial_against_itself_has_not_changed(study):
    pair = Pair(study.trial(1), study.trial(1))
    assert pair.flips == (0, 0)
    assert (pair.score_verdict, pair.speedup.value) == ("no evidence of a change", 1.0)


def test_a_speed_between_two_trials_is_as_unsure_as_both(study):
    slow = changed(study, 1, speedup=Estimate(value=1.0, low=0.9, high=1.1))
    fast = changed(study, 1, speedup=Estimate(value=2.0, low=1.8, high=2.2))
    assert Pair(slow, fast).speedup == Estimate(value=2.0, low=1.8 / 1.1, high=2.2 / 0.9)
    assert (Pair(slow, fast).verdict, Pair(fast, slow).verdict) == ("faster", "slower")
    assert Pair(changed(study, 1, speedup=None), fast).verdict == "not compared"


def test_what_was_not_measured_is_refused(study):
    with pytest.raises(WorkbenchError, match="Trial 2 was not measured: it failed"):
        Pair(study.baseline, study.trial(2))
