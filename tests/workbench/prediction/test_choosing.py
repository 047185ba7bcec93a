"""Anchor points are chosen once for each study, as many as this machine answers in a moment."""

from pathlib import Path

import numpy as np
import pytest

from workbench import Cancelled, Dataset, Prune, Recipe, Study
from workbench.prediction.anchors import ANCHORS, anchors_of
from workbench.prediction.choosing import FEWEST, LEAST, MODELS, choose_anchors
from workbench.prediction.points import Points

RECIPES = [Recipe([Prune(ratio=ratio, importance=name)]) for ratio in (0.1, 0.3, 0.5, 0.7) for name in ("l1", "l2")]
UNKNOWN = Recipe([Prune(importance="ablation")])
OBSERVED = np.random.default_rng(0).integers(0, 1000, (len(RECIPES), 200)).tolist()


@pytest.fixture
def study(digits: Dataset, tmp_path: Path) -> Study:
    return Study("lenet5", digits, path=tmp_path)


def _chosen(study: Study, *args, recipes=RECIPES) -> Points | None:
    choose_anchors(study, OBSERVED, range(0, 400, 2), recipes, *args)
    return Points.kept(study.path / "prediction" / ANCHORS)


def test_they_are_among_the_samples_that_were_observed_each_of_which_has_a_likeness_to_them(study):
    found = _chosen(study)
    assert found is not None and found.samples.tolist() == list(range(0, 400, 2))
    assert FEWEST <= len(found.places) == len(found.weights) and found.weights.sum() == pytest.approx(1)
    assert found.likeness.shape == (200, len(found.places))


def test_they_are_chosen_once_for_a_study(study):
    first = _chosen(study)
    assert first is not None
    choose_anchors(study, np.zeros((LEAST, 200), int).tolist(), range(200), RECIPES)
    again = anchors_of(study)
    assert again is not None and again.name == first.name


@pytest.mark.parametrize("recipes", [RECIPES[: LEAST - 1], [*RECIPES[: LEAST - 1], *[UNKNOWN] * 5]])
def test_there_are_none_before_enough_models_are_known(recipes, study):
    assert _chosen(study, recipes=recipes) is None and anchors_of(study) is None


def test_what_is_not_known_beforehand_is_passed_over(study):
    assert _chosen(study, recipes=[UNKNOWN, *RECIPES, UNKNOWN]) is not None


def test_there_are_none_for_a_model_that_takes_long(study, monkeypatch):
    monkeypatch.setattr("workbench.prediction.choosing.LONGEST", 1e-6)
    assert _chosen(study) is None


def test_on_a_slow_machine_there_are_a_few(study, monkeypatch):
    monkeypatch.setattr("workbench.prediction.choosing.BUDGET", 1e-6)
    found = _chosen(study)
    assert found is not None and len(found.places) == FEWEST


@pytest.mark.parametrize(("seconds", "asked"), [(1e6, MODELS), (-1.0, 1)])
def test_no_more_models_are_asked_than_there_is_time_for(seconds, asked, study, monkeypatch):
    monkeypatch.setattr("workbench.prediction.choosing.SECONDS", seconds)
    told: list[str] = []
    more = [Recipe([Prune(ratio=0.01 * percent)]) for percent in range(1, MODELS + 10)]
    found = _chosen(study, lambda share, message: told.append(message), recipes=more)
    assert sum(message == "Looking which samples are alike" for message in told) == asked
    assert (found is None) == (asked < LEAST)


def test_what_breaks_it_off_leaves_nothing_and_it_begins_again(study):
    def stop(**facts):
        raise Cancelled

    with pytest.raises(Cancelled):
        _chosen(study, stop)
    assert anchors_of(study) is None
    assert _chosen(study) is not None


def test_progress_is_told_and_goes_up(study):
    told: list[tuple[float, str]] = []
    _chosen(study, lambda share, message: told.append((share, message)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and (shares[0], shares[-1]) == (0, 1)
    assert list(dict.fromkeys(message for _, message in told)) == [
        "Looking which samples are alike",
        "Choosing samples that tell most",
    ]


def test_what_another_process_chose_meanwhile_counts(study, tmp_path_factory):
    other = Study("lenet5", study.dataset, path=tmp_path_factory.mktemp("other"))
    first = _chosen(other)
    assert first is not None

    def meanwhile(**facts):
        (study.path / "prediction").mkdir(exist_ok=True)
        first.keep(study.path / "prediction" / ANCHORS)

    choose_anchors(study, OBSERVED, range(1, 401, 2), RECIPES, meanwhile)
    found = anchors_of(study)
    assert found is not None and found.name == first.name
