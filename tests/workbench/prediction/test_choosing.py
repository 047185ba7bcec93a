"""Anchor points are chosen once, as many as this machine answers in a moment, and stand for what answers like them."""

from pathlib import Path

import numpy as np
import pytest

from workbench import Dataset, Prune, Recipe, Study
from workbench.prediction.anchors import anchors_of
from workbench.prediction.choosing import ENOUGH, FEWEST, MOST, choose_anchors, clustered

RECIPES = [Recipe([Prune(ratio=ratio, importance=name)]) for ratio in (0.1, 0.3, 0.5, 0.7) for name in ("l1", "l2")]
OBSERVED = np.random.default_rng(0).integers(0, 1000, (ENOUGH, 200)).tolist()


@pytest.fixture
def study(digits: Dataset, tmp_path: Path) -> Study:
    return Study("lenet5", digits, path=tmp_path)


def test_they_are_chosen_once_for_a_study(study):
    choose_anchors(study, OBSERVED, range(0, 400, 2))
    first = anchors_of(study).samples
    choose_anchors(study, np.zeros((ENOUGH, 200), int).tolist(), range(200))
    assert anchors_of(study).samples == first


def test_there_are_none_before_enough_was_observed(study):
    choose_anchors(study, OBSERVED[:-1], range(200))
    assert anchors_of(study) is None


def test_there_are_none_for_a_model_that_takes_long(study, monkeypatch):
    monkeypatch.setattr("workbench.prediction.choosing.LONGEST", 1e-6)
    choose_anchors(study, OBSERVED, range(200))
    assert anchors_of(study) is None


def test_on_a_slow_machine_there_are_a_few(study, monkeypatch):
    monkeypatch.setattr("workbench.prediction.choosing.BUDGET", 1e-6)
    choose_anchors(study, OBSERVED, range(200))
    found = anchors_of(study)
    assert found is not None and len(found.samples) == FEWEST


def test_progress_is_told_while_samples_are_compared(study):
    told: list[str] = []
    choose_anchors(study, OBSERVED, range(200), RECIPES, lambda **facts: told.append(facts["message"]))
    assert len(told) == len(RECIPES) and len(set(told)) == 1


def test_samples_that_always_answer_alike_have_one_anchor_that_weighs_as_much_as_all_of_them():
    kinds = np.array([[0.9, 0.1, 0.5], [0.1, 0.9, 0.5]])
    observed = np.repeat(kinds, [60, 30, 10], axis=1)
    samples, weights = clustered(observed, MOST)
    assert sorted(weights) == pytest.approx([0.1, 0.3, 0.6])
    assert observed[:, samples] @ weights == pytest.approx(observed.mean(1))
