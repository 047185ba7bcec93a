"""Samples that always answer alike have one anchor point; of several clusterings the best is taken."""

import numpy as np
import pytest
from scipy.special import logit

from workbench.prediction import clusters
from workbench.prediction.clusters import best_points, clustered
from workbench.prediction.points import Estimator, Points

SAMPLES, CLASSES, FACTORS = 300, 4, 5


def models(count: int, seed: int) -> np.ndarray:
    """Logits of models that go by the same few things, and some more each, shape (models, samples, classes)."""
    things = np.random.default_rng(0).normal(size=(SAMPLES, FACTORS))
    generator = np.random.default_rng(seed)
    told = np.einsum("sf,mfc->msc", things, TRUTH + generator.uniform(0, 2, (count, 1, 1)) * _drawn(generator, count))
    return told + 0.5 * generator.normal(size=told.shape)


def _drawn(generator: np.random.Generator, count: int) -> np.ndarray:
    return generator.normal(size=(count, FACTORS, CLASSES))


TRUTH = _drawn(np.random.default_rng(1), 1)
LABELS = np.einsum("sf,fc->sc", np.random.default_rng(0).normal(size=(SAMPLES, FACTORS)), TRUTH[0]).argmax(1)


def observed(answers: np.ndarray) -> np.ndarray:
    """The probability of the right class, shape (models, samples)."""
    odds = np.exp(answers - answers.max(2, keepdims=True))
    return odds[:, np.arange(SAMPLES), LABELS] / odds.sum(2)


def error(points: Points, answers: np.ndarray) -> float:
    """The squared error of models' accuracies in logits, after a line was put through them."""
    estimator = Estimator(points, LABELS)
    told = logit(np.array([estimator.share(logits[points.places]) for logits in answers]))
    shares = logit((answers.argmax(2) == LABELS).mean(1))
    return float(((np.polyval(np.polyfit(told, shares, 1), told) - shares) ** 2).mean())


def test_the_clustering_is_taken_that_tells_known_models_best(monkeypatch):
    told: dict[int, list[float]] = {1: [], 9: []}
    for known in (models(20, seed) for seed in (2, 3, 4)):
        for starts, errors in told.items():
            monkeypatch.setattr(clusters, "STARTS", starts)
            found = best_points(np.arange(SAMPLES), observed(known), known, LABELS, 16)
            assert found is not None
            errors.append(error(found, known))
    assert all(best <= first for first, best in zip(*told.values(), strict=True))
    assert sum(told[9]) < sum(told[1])


def test_they_are_as_many_as_asked_for_and_differ():
    known = models(12, 2)
    found = best_points(np.arange(0, 3 * SAMPLES, 3), observed(known), known, LABELS, 20)
    assert found is not None and found.samples.tolist() == list(range(0, 3 * SAMPLES, 3))
    assert len(set(found.places.tolist())) == 20 and found.weights.sum() == pytest.approx(1)


def test_the_same_models_lead_to_the_same_points():
    known = models(8, 2)
    one, other = (best_points(np.arange(SAMPLES), observed(known), known, LABELS, 16) for _ in range(2))
    assert one is not None and other is not None and one.name == other.name


def test_models_that_answer_nothing_choose_nothing():
    nothing = np.zeros((8, SAMPLES, CLASSES))
    assert best_points(np.arange(SAMPLES), observed(nothing), nothing, LABELS, 16) is None


def test_samples_that_always_answer_alike_have_one_anchor_that_weighs_as_much_as_all_of_them():
    kinds = np.array([[0.9, 0.1, 0.5], [0.1, 0.9, 0.5]])
    table = np.repeat(kinds, [60, 30, 10], axis=1)
    places, weights = clustered(table, 256)
    assert sorted(weights) == pytest.approx([0.1, 0.3, 0.6])
    assert table[:, places] @ weights == pytest.approx(table.mean(1))
