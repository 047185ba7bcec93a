"""The figures of regression and language by hand, or as scikit-learn computes them."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from workbench import Dataset
from workbench.estimates import Score
from workbench.evaluation import TASKS
from workbench.evaluation.base import paired_change, resampled

REGRESSION, LANGUAGE = TASKS["regression"], TASKS["language"]


def test_r2_and_errors_are_those_of_scikit_learn():
    random = np.random.default_rng(3)
    labels = random.standard_normal((50, 3)).astype(np.float32) * [1, 10, 100]
    answers = (labels + random.standard_normal((50, 3)) * [0.5, 5, 20]).astype(np.float32)
    assert REGRESSION.value(answers, labels) == pytest.approx(r2_score(labels, answers))
    quality = REGRESSION.quality(answers, labels)
    assert quality.mae == pytest.approx(mean_absolute_error(labels, answers), rel=1e-5)
    together = root_mean_squared_error(labels.ravel(), answers.ravel())
    assert quality.rmse == pytest.approx(together, rel=1e-5)
    assert quality.bias == pytest.approx(float((answers - labels).mean()), rel=1e-4)


def test_a_model_that_knows_nothing_wavers_between_all_tokens():
    labels = np.array([[0, 1, 2, 3], [3, 2, 1, 0]])
    rows = LANGUAGE.rows(np.zeros((2, 4, 4), np.float32), labels)
    assert LANGUAGE.value(LANGUAGE.answers(rows), labels) == pytest.approx(4)
    assert LANGUAGE.quality(rows, labels).bits == pytest.approx(2)


def test_what_is_padding_is_not_judged():
    labels = np.array([[0, 1, -100, -100], [1, -100, -100, -100]])
    logits = np.zeros((2, 4, 2), np.float32)
    logits[:, 2:] = [50, -50]  # wrong or right, it does not count
    rows = LANGUAGE.rows(logits, labels)
    assert LANGUAGE.value(rows, labels) == pytest.approx(2)
    assert LANGUAGE.quality(rows, labels).tokens == 3


def test_the_bootstrap_covers_the_mean_as_often_as_it_says():
    random, covered = np.random.default_rng(0), 0
    for _ in range(100):
        found = resampled(lambda x: x.mean(-1), random.standard_normal(60))
        covered += found.low <= 0 <= found.high
    assert covered >= 88  # of 95 expected; fewer than 88 has a chance of 1 in 200


def test_noise_alone_is_rarely_called_a_change():
    random, called = np.random.default_rng(0), 0
    for _ in range(100):
        errors = random.random((2, 40))
        called += paired_change(errors[0], errors[1], 0.0).p_value < 0.05
    assert called <= 12


@pytest.mark.parametrize(
    ("before", "after", "said", "lost"),
    [
        (Score(value=0.98, low=0, high=1), Score(value=0.967, low=0, high=1), "-1.30 points", 0.013),
        (REGRESSION.as_score(0.5), REGRESSION.as_score(0.4), "-0.100", 0.1),
        (LANGUAGE.as_score(10.0), LANGUAGE.as_score(10.5), "+5.0 %", np.log(1.05)),
    ],
)
def test_a_change_of_the_score_in_words_and_as_utility(before, after, said, lost):
    assert after.change(before) == said
    assert before.utility - after.utility == pytest.approx(lost)


def test_tokens_reach_the_model_as_they_are():
    dataset = Dataset(train=(np.arange(40).reshape(10, 4) % 7, np.arange(40).reshape(10, 4) % 7))
    assert dataset.task == "language"
    assert dataset.prepare(dataset.train.inputs).dtype == np.int64
    assert len(dataset.classes) == 7
