"""Anchor points tell the share of all samples that a model answers right."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench.prediction.points import LEAST, Estimator, Points, margins, nearly_right

KINDS = np.arange(40) // 4  # samples of a kind are alike, and of one class
LIKENESS = np.exp(-np.abs(KINDS[:, None] - KINDS)).astype(np.float32)
POINTS = Points(np.arange(40), np.arange(0, 40, 4), np.full(10, 0.1), LIKENESS[:, np.arange(0, 40, 4)])
LABELS = KINDS % 3


def test_they_are_kept_as_they_are(tmp_path: Path):
    POINTS.keep(tmp_path / "points")
    found = Points.kept(tmp_path / "points")
    assert found is not None and found.name == POINTS.name
    for name, array in vars(POINTS).items():
        assert np.array_equal(getattr(found, name), array)


def test_they_tell_the_same_after_they_were_kept(tmp_path: Path):
    turned = Points(POINTS.samples, POINTS.places, POINTS.weights, np.asfortranarray(POINTS.likeness))
    turned.keep(tmp_path / "points")
    found = Points.kept(tmp_path / "points")
    assert found is not None and turned.name == POINTS.name
    logits = np.random.default_rng(0).normal(size=(10, 3))
    assert Estimator(found, LABELS).share(logits) == Estimator(POINTS, LABELS).share(logits)


def test_others_have_another_name():
    moved = Points(POINTS.samples + 1, POINTS.places, POINTS.weights, POINTS.likeness)
    heavier = Points(POINTS.samples, POINTS.places, POINTS.weights[::-1] * 2, POINTS.likeness)
    assert len({POINTS.name, moved.name, heavier.name}) == 3


@pytest.mark.parametrize("spoil", [lambda whole: b"", lambda whole: whole[:100], lambda whole: b"{}" + whole])
def test_a_damaged_file_holds_none(spoil, tmp_path):
    POINTS.keep(tmp_path / "points")
    (tmp_path / "points").write_bytes(spoil((tmp_path / "points").read_bytes()))
    assert Points.kept(tmp_path / "points") is None


def test_a_file_of_something_else_holds_none(tmp_path):
    from safetensors.numpy import save_file

    save_file({"likeness": POINTS.likeness}, tmp_path / "points")
    assert Points.kept(tmp_path / "points") is None
    assert Points.kept(tmp_path / "missing") is None


def test_more_right_answers_are_a_larger_share():
    estimator = Estimator(POINTS, LABELS)
    logits = np.random.default_rng(0).normal(size=(10, 3))
    told = []
    for right in range(0, 11, 2):
        answers = logits.copy()
        answers[np.arange(right), LABELS[::4][:right]] = 5
        answers[np.arange(right, 10), LABELS[::4][right:]] = -5
        told.append(estimator.share(answers))
    assert told == sorted(told) and told[0] < 0.2 and told[-1] > 0.8


@settings(max_examples=50)
@given(arrays(np.float32, (10, 3), elements=st.floats(allow_nan=True, allow_infinity=True, width=32)))
def test_whatever_a_ruined_model_answers_it_is_a_share(logits):
    assert LEAST / 2 <= Estimator(POINTS, LABELS).share(logits) <= 1


def test_a_margin_is_how_far_the_right_class_lies_above_the_best_other_one():
    answers = np.array([[3.0, 1.0, 2.5], [0.0, 4.0, 1.0], [1.0, np.nan, 0.0], [np.inf, np.inf, 0.0]])
    assert margins(answers, np.array([0, 2, 0, 1])).tolist() == [0.5, -3.0, 0.0, 0.0]


def test_far_from_the_edge_samples_are_right_or_wrong():
    weights = np.full(400, 1 / 400)
    found = np.where(np.arange(400) < 300, 1.0, -1.0)
    assert nearly_right(found, weights) == pytest.approx(0.75)
    assert nearly_right(0 * found, weights) == 0.5


def test_at_the_edge_a_sample_is_half_right_and_less_so_the_fewer_there_are():
    assert nearly_right(np.array([0.0, 100.0]), np.array([0.99, 0.01])) == pytest.approx(0.505, abs=1e-3)
    few, many = (nearly_right(np.full(count, 1.0), np.full(count, 1 / count)) for count in (4, 100))
    assert 0.8 < few < many < 1


@settings(max_examples=50)
@given(arrays(float, 20, elements=st.floats(-50, 50)), st.floats(0.01, 100))
def test_only_how_margins_compare_counts(found, factor):
    weights = np.full(20, 0.05)
    assert nearly_right(found * factor, weights) == pytest.approx(nearly_right(found, weights), abs=1e-9)
