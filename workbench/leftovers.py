"""What a worker process leaves behind when it is ended: temporary files, and processes that it has started."""

import contextlib
import os
import shutil
import tempfile
import weakref
from pathlib import Path

import psutil

ROUNDS = 3  # of looking for processes: one that is being ended may just have started another


class Rooms:
    """Temporary folders, one for each worker process of this one.

    Attributes
    ----------
    path : pathlib.Path
        The folder that they are in; each is named after the number of its process. It is gone when this is.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="workbench-"))
        weakref.finalize(self, _clear_all, self.path)

    def clear(self) -> None:
        """End what workers that are gone have started, and remove their files."""
        for room in _rooms(self.path):
            if not _works(int(room.name)):
                _clear(room)


def move_in(path: Path) -> None:
    """Keep the temporary files of this process, and of those that it starts, in a room of its own from now on.

    What processes share stays where it was: locks, and what PyTorch's compiler keeps. Where there can be no room, as on
    a full disk, all stays as it was.
    """
    from workbench.runtimes.inductor import cache_folder

    cache, room = cache_folder(), path / str(os.getpid())
    os.environ.setdefault("WORKBENCH_LOCKS", tempfile.gettempdir())
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache))
    try:
        room.mkdir(parents=True, exist_ok=True)
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    with contextlib.suppress(OSError):  # on Windows, where it keeps no headers
        (room / cache.name).symlink_to(cache)  # for its headers, which it looks for among temporary files in any case
    os.environ["TMPDIR"] = tempfile.tempdir = str(room)


def leave() -> None:
    """Remove the room of this process, for which nobody else will."""
    room = Path(tempfile.gettempdir())
    if room.name == str(os.getpid()):
        _clear(room)
        with contextlib.suppress(OSError):  # others may still be in theirs
            room.parent.rmdir()


def _rooms(path: Path) -> list[Path]:
    return list(path.iterdir()) if path.is_dir() else []  # systems clean up what is old


def _works(number: int) -> bool:
    """Whether it is a process that this one has started and that runs."""
    try:
        process = psutil.Process(number)
        return process.ppid() == os.getpid() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _clear(room: Path) -> None:
    for _ in range(ROUNDS):
        if not _end_guests(room):
            break
    shutil.rmtree(room, ignore_errors=True)


def _clear_all(path: Path) -> None:
    for room in _rooms(path):
        _clear(room)
    shutil.rmtree(path, ignore_errors=True)


def _end_guests(room: Path) -> bool:
    """End all processes but this one whose temporary files belong there, as started ones inherit that; if any did."""
    found = False
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TMPDIR") == str(room) and process.pid != os.getpid():
                process.kill()
                found = True
    return found
