"""Rooms of worker processes: their temporary files and children go with them, and what processes share stays."""

import multiprocessing
import os
import subprocess
import tempfile
from pathlib import Path

import psutil

from workbench.leftovers import Rooms, leave, move_in


def _work(path: Path, told: "multiprocessing.Queue", leaves: bool) -> None:
    os.environ.pop("WORKBENCH_LOCKS", None)
    os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)
    shared = tempfile.gettempdir()
    move_in(path)
    from torch._inductor.codecache import _HEADER_DIR

    child = subprocess.Popen(["sleep", "600"])
    told.put(
        {
            "made": tempfile.mkdtemp(),
            "child": child.pid,
            "shared": shared,
            "locks": os.environ["WORKBENCH_LOCKS"],
            "compiled": os.environ["TORCHINDUCTOR_CACHE_DIR"],
            "headers": os.path.realpath(_HEADER_DIR),
        }
    )
    if leaves:
        leave()
    else:
        child.wait()


def _started(rooms: Rooms, leaves: bool = False):
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    worker = context.Process(target=_work, args=(rooms.path, told, leaves))
    worker.start()
    return worker, told.get(timeout=300)


def _gone(number: int) -> bool:
    return not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE


def test_what_a_worker_made_stays_while_it_works_and_goes_when_it_has_ended():
    rooms = Rooms()
    worker, made = _started(rooms)
    rooms.clear()
    assert Path(made["made"]).is_dir() and not _gone(made["child"])
    worker.kill()
    worker.join()
    rooms.clear()
    assert not Path(made["made"]).exists() and _gone(made["child"])
    assert list(rooms.path.iterdir()) == []


def test_what_processes_share_is_not_in_a_room_and_outlives_it():
    rooms = Rooms()
    worker, made = _started(rooms)
    worker.kill()
    worker.join()
    rooms.clear()
    assert made["locks"] == made["shared"]
    assert Path(made["compiled"]).is_dir() and rooms.path not in Path(made["compiled"]).parents
    assert Path(made["headers"]).parent == Path(made["compiled"]).resolve()


def test_rooms_go_with_what_has_made_them():
    rooms = Rooms()
    path = rooms.path
    worker, made = _started(rooms)
    worker.kill()
    worker.join()
    del rooms
    assert not path.exists() and _gone(made["child"])


def test_one_that_nobody_waits_for_clears_its_own():
    rooms = Rooms()
    worker, made = _started(rooms, leaves=True)
    worker.join()
    assert not rooms.path.exists() and _gone(made["child"])
    rooms.clear()  # there is nothing left to do


def test_where_there_can_be_no_room_all_stays_as_it_was(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    before = os.environ.get("TMPDIR"), tempfile.gettempdir()
    monkeypatch.setenv("WORKBENCH_LOCKS", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    move_in(tmp_path / "file")
    assert (os.environ.get("TMPDIR"), tempfile.gettempdir()) == before
