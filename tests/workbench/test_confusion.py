"""Class by class: what is recognized, and what is taken for what, before and after."""

from types import SimpleNamespace

import numpy as np
import pytest

from workbench.confusion import confusion, recalls
from workbench.evaluation import Errors, Quality


def quality(matrix: np.ndarray) -> SimpleNamespace:
    """Metrics of a classifier with this confusion matrix."""
    occurred = [(int(i), int(j), int(matrix[i, j])) for i, j in zip(*np.nonzero(matrix), strict=True)]
    recall = [float(row[i] / row.sum()) if row.sum() else None for i, row in enumerate(matrix)]
    known = Quality.model_construct(recall=recall, confusion=occurred, top5=None, macro_f1=0.9, calibration_error=0.01)
    return SimpleNamespace(quality=known)


BEFORE = np.array([[8, 2, 0], [0, 10, 0], [1, 1, 8]])
AFTER = np.array([[9, 1, 0], [4, 6, 0], [1, 1, 8]])
NAMES = ["cat", "dog", "owl"]


def test_classes_come_by_how_much_their_recall_changed() -> None:
    changes = recalls(quality(BEFORE), quality(AFTER), NAMES)
    assert [(c.name, c.before, c.after) for c in changes] == [("dog", 1.0, 0.6), ("cat", 0.8, 0.9), ("owl", 0.8, 0.8)]
    row = {"class": "dog", "samples": "10", "before": "100.0%", "after": "60.0%", "points": "-40.0"}
    assert changes[0].row() == row


def test_a_cell_holds_how_many_by_how_many_more_and_its_share_of_the_class() -> None:
    told = confusion(quality(BEFORE), quality(AFTER), NAMES)
    assert [name for name, _ in told.rows] == told.names == NAMES
    cell = told.rows[1][1][0]  # dogs taken for cats
    assert (cell.count, cell.change, cell.share, cell.right) == (4, 4, 0.4, False)
    assert [cells[i].right for i, (_, cells) in enumerate(told.rows)] == [True, True, True]
    assert told.left_out == 0


def test_of_many_classes_those_with_the_most_mistakes_are_shown_and_nothing_is_lost() -> None:
    told = confusion(quality(BEFORE), quality(AFTER), NAMES, most=2)
    assert (told.names, told.left_out) == (["cat", "dog"], 1)
    assert [sum(cell.count for cell in cells) for _, cells in told.rows] == [10, 10]
    assert len(told.rows[0][1]) == 3  # the last are all others


def test_a_class_without_samples_has_no_row_but_may_be_answered() -> None:
    matrix = np.array([[5, 5], [0, 0]])
    told = confusion(quality(matrix), quality(matrix), ["cat"])
    assert (told.names, [name for name, _ in told.rows]) == (["cat", "1"], ["cat"])
    assert [change.name for change in recalls(quality(matrix), quality(matrix), ["cat"])] == ["cat"]


@pytest.mark.parametrize("known", [None, Errors.model_construct(mae=1.0)])
def test_what_is_no_classifier_has_none(known: object) -> None:
    other = SimpleNamespace(quality=known)
    assert recalls(other, other, NAMES) == []
    assert confusion(other, other, NAMES) is None


def test_of_a_real_trial_it_counts_every_sample(study) -> None:
    before, after = study.baseline.metrics, study.trial(1).metrics
    told = confusion(before, after, study.dataset.classes)
    assert sum(cell.count for _, cells in told.rows for cell in cells) == after.samples
    rows = [change.row() for change in recalls(before, after, study.dataset.classes)]
    assert rows == study.compare(0, 1).class_table()
