"""A few answers tell the others, as far as samples are alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench.prediction.likeness import NOISE, Likeness, alike

SAMPLES, CLASSES, FACTORS, MODELS = 400, 5, 6, 20
PLACES = np.arange(0, SAMPLES, 20)


def _answers(count: int, seed: int, noise: float = 0.0) -> np.ndarray:
    """Logits of models that all go by the same few things at each sample, shape (models, samples, classes)."""
    things = np.random.default_rng(0).normal(size=(SAMPLES, FACTORS))
    generator = np.random.default_rng(seed)
    told = np.einsum("sf,mfc->msc", things, generator.normal(size=(count, FACTORS, CLASSES)))
    return told + noise * generator.normal(size=told.shape)


LABELS = _answers(1, 1)[0].argmax(1)


@pytest.fixture(scope="module")
def likeness() -> Likeness:
    found = alike(_answers(MODELS, 2))
    assert found is not None
    return Likeness(found[:, PLACES], PLACES, LABELS)


def _right(logits: np.ndarray) -> float:
    return float((logits.argmax(1) == LABELS).mean())


@pytest.mark.parametrize("seed", range(10, 16))
def test_where_samples_are_alike_a_twentieth_of_them_tell_the_share_of_all(seed, likeness):
    logits = _answers(1, seed)[0] + _answers(1, 1)[0]
    assert likeness.share(logits[PLACES]) == pytest.approx(_right(logits), abs=0.02)


def test_it_tells_more_than_the_anchors_share_alone(likeness):
    models = _answers(40, 3, noise=0.3) + _answers(1, 1)
    truth = np.array([_right(logits) for logits in models])
    told = np.array([likeness.share(logits[PLACES]) for logits in models])
    alone = np.array([(logits[PLACES].argmax(1) == LABELS[PLACES]).mean() for logits in models])
    assert np.abs(told - truth).mean() < 0.5 * np.abs(alone - truth).mean()


def test_the_size_of_logits_makes_no_difference_nor_what_all_classes_share(likeness):
    logits = _answers(1, 4)[0][PLACES]
    shifted = 7 * logits + np.arange(len(PLACES))[:, None]
    assert likeness.share(shifted) == pytest.approx(likeness.share(logits))


@settings(max_examples=50)
@given(arrays(float, (len(PLACES), CLASSES), elements=st.floats(allow_nan=True, allow_infinity=True, width=32)))
def test_whatever_a_ruined_model_answers_it_is_a_share(logits):
    found = alike(_answers(8, 2))
    assert found is not None
    assert 0 <= Likeness(found[:, PLACES], PLACES, LABELS).share(logits) <= 1


def test_a_sample_is_as_alike_to_another_as_that_to_it_and_to_itself_most():
    found = alike(_answers(MODELS, 2))
    assert found is not None
    assert np.allclose(found, found.T) and np.trace(found) == pytest.approx(SAMPLES)
    size = np.sqrt(np.diag(found))
    assert (np.abs(found) <= size[:, None] * size + 1e-9).all()


def test_models_that_answer_nothing_tell_nothing():
    assert alike(np.zeros((8, SAMPLES, CLASSES))) is None


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_how_far_it_is_off_is_what_each_anchor_is_foreseen_by_the_others(count):
    places = PLACES[:count]
    found = alike(_answers(MODELS, 2, noise=0.3))
    assert found is not None
    logits = _answers(1, 5, noise=0.3)[0]
    whole = Likeness(found[:, places], places, LABELS)
    off = whole.off(logits[places])
    if count == 1:
        return
    told = logits[places] - logits[places].mean(1, keepdims=True)
    told = told / np.sqrt((told**2).mean())
    for at in range(count):
        others = [place for place in range(count) if place != at]
        few = found[np.ix_(places, places)][others][:, others] + NOISE * np.eye(count - 1)
        weights = np.linalg.inv(few)
        mean = weights.sum(0) @ told[others] / weights.sum()
        foreseen = mean + found[places[at], [places[o] for o in others]] @ weights @ (told[others] - mean)
        assert told[at] - foreseen == pytest.approx(off[at], abs=1e-6)
