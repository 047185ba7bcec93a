"""Anchor points are chosen once, as many as this machine answers in a moment, and stand for what answers like them."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from workbench import Cancelled, Dataset, Prune, Recipe, Study
from workbench.prediction import choosing
from workbench.prediction.anchors import LIKENESS, anchors_of
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


def test_how_alike_samples_are_is_kept_as_it_was_found(study):
    choose_anchors(study, OBSERVED, range(0, 400, 2), RECIPES)
    kept = load_file(study.path / "prediction" / LIKENESS)
    samples, anchors = kept["samples"].tolist(), kept["anchors"].tolist()
    assert samples == list(range(0, 400, 2)) and anchors == anchors_of(study).samples
    among_anchors = kept["likeness"][[samples.index(anchor) for anchor in anchors]]
    assert np.allclose(among_anchors, among_anchors.T, atol=1e-6)
    size = np.sqrt(np.diag(among_anchors))
    assert (np.abs(among_anchors) <= size[:, None] * size + 1e-6).all() and (size > 0).all()


def test_what_breaks_off_the_comparison_of_samples_leaves_the_anchors(study):
    def stop(**facts):
        raise Cancelled

    with pytest.raises(Cancelled):
        choose_anchors(study, OBSERVED, range(200), RECIPES, stop)
    first = anchors_of(study)
    assert not first.alike
    choose_anchors(study, OBSERVED, range(200), RECIPES)
    assert anchors_of(study).alike and anchors_of(study).samples == first.samples


def test_what_another_process_chose_meanwhile_counts(study, monkeypatch):
    def late(*args):
        choose_anchors(study, OBSERVED, range(0, 400, 2))
        return real(*args)

    real = choosing._chosen
    monkeypatch.setattr(choosing, "_chosen", lambda *args: (monkeypatch.undo(), late(*args))[1])
    choose_anchors(study, OBSERVED, range(1, 401, 2), RECIPES)
    found = anchors_of(study)
    assert all(sample % 2 == 0 for sample in found.samples)
    assert not found.alike


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
