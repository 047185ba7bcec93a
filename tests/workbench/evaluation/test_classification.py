"""Beyond the top class: each figure by hand, or as its paper defines it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.evaluation import Quality, quality


def _sure(answers: list[int], classes: int) -> np.ndarray:
    """Logits of a model that is certain of these answers."""
    return 20 * np.eye(classes, dtype=np.float32)[answers]


def test_perfect_answers_are_perfect():
    labels = np.arange(10)
    found = quality(_sure(list(labels), 10), labels)
    assert (found.top5, found.macro_f1, found.recall) == (1.0, 1.0, [1.0] * 10)
    assert found.calibration_error == pytest.approx(0, abs=1e-6)
    assert np.array_equal(found.confusion_matrix(), np.eye(10))


def test_recall_f1_and_confusion_by_hand():
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    found = quality(_sure([0, 0, 0, 1, 1, 1, 2, 0], 3), labels)
    assert found.recall == [0.75, 1.0, 0.5]
    # precision 3/4, 2/3, 1/1: F1 is 3/4, 4/5, 2/3
    assert found.macro_f1 == pytest.approx((3 / 4 + 4 / 5 + 2 / 3) / 3)
    assert found.confusion_matrix().tolist() == [[3, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert found.top5 is None  # of three classes


def test_top_5_counts_what_is_among_the_five_highest():
    logits = np.tile(np.arange(10, dtype=np.float32), (4, 1))  # class 9 first, then 8, 7, 6, 5
    assert quality(logits, np.array([9, 5, 4, 0])).top5 == 0.5


def test_the_calibration_error_is_the_distance_of_confidence_and_accuracy():
    # two classes, always 80 % sure of the first, which is right in six of ten
    logits = np.tile(np.log(np.array([0.8, 0.2], np.float32)), (10, 1))
    found = quality(logits, np.array([0] * 6 + [1] * 4))
    assert found.calibration_error == pytest.approx(0.2, abs=1e-6)


def test_a_class_without_samples_has_no_recall():
    found = quality(_sure([0, 2], 3), np.array([0, 2]))
    assert found.recall == [1.0, None, 1.0]
    assert found.macro_f1 == 1.0


@given(st.integers(2, 12).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.integers(0, k - 1), min_size=1))))
def test_the_confusion_holds_every_sample_and_agrees_with_recall(case):
    classes, labels = case
    right = np.array(labels)
    logits = np.random.default_rng(len(labels)).normal(size=(len(right), classes)).astype(np.float32)
    found = quality(logits, right)
    matrix = found.confusion_matrix()
    assert matrix.sum() == len(right)
    assert np.array_equal(matrix.sum(1), np.bincount(right, minlength=classes))
    for share, row, index in zip(found.recall, matrix, range(classes), strict=True):
        assert (share is None) == (row.sum() == 0)
        assert share is None or share == pytest.approx(row[index] / row.sum())


def test_it_is_stored_and_read_again():
    found = quality(_sure([0, 1, 1], 3), np.array([0, 1, 2]))
    assert Quality.model_validate_json(found.model_dump_json()) == found


def test_a_thousand_classes_are_stored_in_a_line_for_each_answer_at_most():
    labels = np.arange(1_000)
    assert len(quality(_sure(list(labels[::-1]), 1_000), labels).confusion) == 1_000


@pytest.mark.parametrize(("classes", "told"), [(3, "Macro F1"), (6, "The right class is among the top 5 for 100.00%")])
def test_the_top_five_are_told_where_there_are_more_classes(classes: int, told: str):
    answers = list(range(classes))
    found = quality(_sure(answers, classes), np.array(answers))
    assert found.sentence(found).startswith(told)
