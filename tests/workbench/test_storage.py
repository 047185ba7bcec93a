"""The study's folder: numbers are given once, facts come back, and the lost are told from the living."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from workbench import Recipe, WorkbenchError
from workbench.storage import SETTLED, Storage, alive, this_process

RECIPE = Recipe()


def _add(storage: Storage, **facts):
    record = storage.add(RECIPE.to_dict(), RECIPE.hash)
    for name, value in facts.items():
        setattr(record, name, value)
    storage.save(record)
    return record


def _ended_process() -> tuple[int, float]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    named = process.pid, psutil.Process(process.pid).create_time()
    process.communicate(b"\n")
    return named


def test_every_trial_gets_a_number_and_a_folder_of_its_own_whoever_asks(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        records = list(pool.map(lambda _: _add(Storage(tmp_path)), range(24)))
    assert sorted(record.number for record in records) == list(range(24))
    assert all(Storage(tmp_path).folder(number).is_dir() for number in range(24))


def test_what_did_not_change_is_not_read_again_and_what_another_process_wrote_is_seen_at_once(tmp_path):
    mine, theirs = Storage(tmp_path), Storage(tmp_path)
    _add(mine, state="complete")
    for turn in range(30):  # faster than the clock of files
        added = _add(theirs, state="running")
        assert [record.state for record in mine.records()][1:] == ["failed"] * turn + ["running"]
        added.state = "failed"
        theirs.save(added)
        assert mine.records()[-1].state == "failed"
    time.sleep(0.2)
    before = mine.records()
    _add(theirs)
    assert all(old is new for old, new in zip(before, mine.records()[:-1], strict=True))
    assert all(old is new for old, new in zip(mine.records(), mine.records(), strict=True))


def test_facts_come_back(tmp_path):
    record = _add(Storage(tmp_path), state="failed", reason="Für nichts — und wieder nichts.", process=(1, 2.5))
    assert Storage(tmp_path).record(0) == record
    assert Storage(tmp_path).records() == [record]


def test_settings_come_back(tmp_path):
    assert Storage(tmp_path).settings() == {}
    Storage(tmp_path).save_settings({"model": "lenet5", "threads": 2, "own": {}})
    assert Storage(tmp_path).settings() == {"model": "lenet5", "threads": 2, "own": {}}


def test_an_unknown_number_is_refused(tmp_path):
    with pytest.raises(WorkbenchError, match="There is no trial 7"):
        Storage(tmp_path).record(7)


def test_a_process_is_known_by_its_number_and_its_birth():
    number, born = this_process()
    assert alive(number, born)
    assert not alive(number, born - 100)  # another process that had the same number
    assert not alive(*_ended_process())


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_only_trials_whose_process_is_gone_are_marked_as_failed(tmp_path, state):
    storage = Storage(tmp_path)
    lost = _add(storage, state=state, process=_ended_process())
    running = _add(storage, state=state, process=this_process())
    queued = _add(storage, state="waiting")
    done = _add(storage, state="complete", process=lost.process)
    storage.mark_lost()
    states = [record.state for record in storage.records()]
    assert states == ["failed", running.state, queued.state, done.state]
    assert "ended from outside" in storage.record(lost.number).reason


@pytest.mark.parametrize("marked", [False, True])
def test_a_trial_whose_process_is_gone_is_taken_up_by_one_other_and_only_once(tmp_path, marked):
    storage = Storage(tmp_path)
    gone = _ended_process()
    for state in ("running", "waiting"):
        _add(storage, state=state, process=gone)
    _add(storage, state="running", process=this_process())
    _add(storage, state="failed", reason="It does not fit.", process=gone)
    deleted = _add(storage, state="running", process=gone)
    storage.label(deleted.number, deleted=True)
    if marked:
        storage.mark_lost()
    with ThreadPoolExecutor(4) as pool:
        claimed = list(pool.map(lambda _: Storage(tmp_path).reclaim(), range(4)))
    assert sorted(claimed) == [[], [], [], [0, 1]]
    taken = storage.record(0)
    assert (taken.state, taken.reason, taken.process) == ("waiting", "", this_process())
    taken.process = gone
    storage.save(taken)
    assert storage.reclaim() == []


@pytest.mark.parametrize("place", ["a file", "under a file"])
def test_a_folder_that_cannot_be_used_is_refused(tmp_path, place):
    (tmp_path / "file").write_text("not a folder")
    path = {"a file": tmp_path / "file", "under a file": tmp_path / "file" / "study"}[place]
    with pytest.raises(
        WorkbenchError, match=r"The study folder .* can't be used: .*Choose a folder that you can write"
    ):
        Storage(path)


def test_a_damaged_study_is_refused_as_that(tmp_path):
    (tmp_path / "study.db").write_bytes(b"not a database" * 100)
    with pytest.raises(WorkbenchError, match=r"can't be read or written: .*restore study.db if it is damaged"):
        Storage(tmp_path)


def test_a_trial_that_this_version_cannot_read_is_shown_as_failed_and_the_others_go_on(tmp_path):
    storage = Storage(tmp_path)
    for recipe in ({"steps": [{"melt": {}}]}, {"steps": []}):
        storage.add(recipe, "0")
    first, second = storage.records()
    assert (first.state, second.state) == ("failed", "waiting")
    assert "can't read the stored trial" in first.reason


def test_how_many_trials_are_complete_is_known_as_soon_as_another_process_has_one(tmp_path):
    one, other = Storage(tmp_path), Storage(tmp_path)
    record = _add(one, state="running")
    time.sleep(2 * SETTLED / 1e9)
    assert other.complete() == other.complete() == 0  # the second time without asking the database
    record.state = "complete"
    one.save(record)
    assert other.complete() == one.complete() == 1
