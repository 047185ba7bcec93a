"""The history: a tree of trials that can be named, starred, annotated, deleted and brought back."""

import shutil

import pytest

from widgets.history import TrialHistory
from workbench import Study


@pytest.fixture
def history(study, digits, tmp_path) -> TrialHistory:
    shutil.copytree(study.path, tmp_path / "lenet5")
    return TrialHistory(Study("lenet5", digits, path=tmp_path / "lenet5"))


def rows(history: TrialHistory) -> list[tuple[int, int]]:
    return [(row["number"], row["level"]) for row in history.tree.rows]


def row(history: TrialHistory, number: int) -> dict:
    return next(row for row in history.tree.rows if row["number"] == number)


def test_each_trial_lies_under_the_one_whose_recipe_it_was_made_from(history):
    study = history._study
    assert rows(history) == [(0, 0), (1, 0), (2, 0), (3, 0)]  # nobody said
    for number, parent in ((1, 0), (3, 1), (2, 0)):
        study.label(number, parent=parent)
    history.show(study)
    assert rows(history) == [(0, 0), (1, 1), (3, 2), (2, 1)]
    study.label(1, deleted=True)
    history.show(study)
    assert rows(history) == [(0, 0), (2, 1), (3, 0)]  # its parent is gone


def test_a_row_tells_the_figures_or_how_it_ended(history, study):
    m = study.trial(1).metrics
    assert row(history, 1)["facts"][0] == f"{m.accuracy.value:.2%}"
    assert row(history, 1)["facts"][2] == f"{m.speedup.value:.2f}x"
    assert (row(history, 2)["facts"][2], row(history, 2)["failed"]) == ("failed", True)


def test_what_is_written_beside_the_chosen_trial_is_kept(history):
    assert history.name.disabled
    history.tree.chosen = 1
    assert history.selected == 1
    history.star.click()
    history.name.value, history.note.value = "half", "ships on Friday"
    assert {key: row(history, 1)[key] for key in ("title", "star", "note")} == {
        "title": "half",
        "star": True,
        "note": "ships on Friday",
    }
    history.tree.chosen = 2
    assert (history.name.value, history.note.value, history.star.description) == ("", "", "☆")
    history.tree.chosen = 1
    assert (history.name.value, history.star.description) == ("half", "★")


def test_deleted_trials_come_back_the_last_one_first(history):
    for number in (1, 2):
        history.mark(number)
        history.delete.click()
        assert history.selected is None
    assert rows(history) == [(0, 0), (3, 0)]
    history.restore.click()
    assert history.selected == 2
    history.restore.click()
    assert [number for number, _ in rows(history)] == [0, 1, 2, 3]
    assert history.restore.disabled


def test_the_baseline_stays(history):
    history.mark(0)
    assert history.delete.disabled
