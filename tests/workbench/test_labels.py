"""What people say of trials: kept beside them, undone as easily, and never a change of what was measured."""

import shutil
import sqlite3

import pytest

from workbench import Prune, Recipe, Study, WorkbenchError
from workbench.storage import Label


@pytest.fixture
def mine(study, digits, tmp_path) -> Study:
    """A copy of the study, made before there were labels."""
    shutil.copytree(study.path, tmp_path / "study")
    with sqlite3.connect(tmp_path / "study" / "study.db") as database:
        database.execute("DROP TABLE labels")
    return Study("lenet5", digits, path=tmp_path / "study")


def test_a_study_from_before_has_none_and_takes_some(mine):
    assert mine.labels == {}
    assert mine.label(1, name="half", star=True) == Label(name="half", star=True)
    assert mine.label(mine.trial(1), note="ships", parent=0).name == "half"  # what was said before stays
    assert mine.labels == {1: Label(name="half", star=True, note="ships", parent=0)}


def test_a_deleted_trial_is_out_of_every_list_and_comes_back_as_it_was(mine):
    before, front = mine.trial(1).metrics, [t.number for t in mine.pareto(["accuracy", "size_bytes"])]
    mine.label(1, deleted=True)
    assert [t.number for t in mine.trials] == [0, 2, 3]
    assert 1 not in [t.number for t in mine.pareto(["accuracy", "size_bytes"])]
    assert mine.storage.add(Recipe([Prune()]).to_dict(), "").number == 4  # its number is not given away
    mine.label(1, deleted=False)
    assert mine.trial(1).metrics == before
    assert [t.number for t in mine.pareto(["accuracy", "size_bytes"])] == front


def test_what_can_not_be_said_is_refused(mine):
    waiting = mine.storage.add(Recipe([Prune()]).to_dict(), "").number
    for number, change, why in [
        (0, {"deleted": True}, "The baseline can't be deleted"),
        (waiting, {"deleted": True}, f"Trial {waiting} is waiting"),
        (1, {"name": "x" * 81}, "name of a trial"),
        (9, {"star": True}, "no trial 9"),
    ]:
        with pytest.raises(WorkbenchError, match=why):
            mine.label(number, **change)
    assert mine.labels == {}
