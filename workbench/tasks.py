"""Work on a whole study that takes minutes: started by a page, done where trials run, stoppable, seen by all pages."""

import contextlib
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import Cancelled, WorkbenchError, lookup
from workbench.storage import alive, this_process

if TYPE_CHECKING:
    from workbench.study import Study

Told = Callable[[dict[str, Any]], None]
EVERY = 0.2  # seconds between two facts at least
PAUSE = 0.1  # seconds between two looks at a task that runs for another page
PROGRESS, CANCEL, TICKET, RESULT = "json", "cancel", "ticket.json", "result.json"


def prepare(study: "Study", told: Told, **options: Any) -> dict[str, Any]:
    """Measure what predictions go by."""
    study.prepare_predictions(on_progress=told, **options)
    return {"sentences": ["Predictions are ready."]}


def search(study: "Study", told: Told, **options: Any) -> dict[str, Any]:
    """Search; the outcome as plain data."""
    found = study.search(on_progress=told, **options)
    return {
        "sentences": found.findings(),
        "spent": found.spent.facts() if found.spent else None,
        "dashboard": found.dashboard,
        "stopped": found.stopped,
        "front": [trial.number for trial in found.front],
        "best": found.best.number if found.best else None,
        "history": [asdict(progress) for progress in found.history],
        "importance": found.importance,
    }


def sensitivity(study: "Study", told: Told) -> dict[str, Any]:
    """How much each layer of the unchanged model suffers alone; when it is stopped, as far as it is measured."""
    share = 0.0

    def noted(facts: dict[str, Any]) -> None:
        nonlocal share
        told(facts)
        share = facts["share"]

    try:
        found = study.sensitivity(on_progress=noted)
    except Cancelled:
        partly = study.known_sensitivity()
        if partly is None or not partly.points:
            raise
        found = partly
    shown = {what: {"sentences": found.sentences(what), "table": found.rows(what)} for what in VIEWS}
    return {"sentences": found.sentences(), "share": share, "views": shown}


VIEWS = ("accuracy", "output error")
"""Of sensitivity: what its figures say."""
TASKS: dict[str, Callable[..., dict[str, Any]]] = {"prepare": prepare, "search": search, "sensitivity": sensitivity}


class BrokenOff(WorkbenchError):
    """The process of a task was ended from outside."""

    def __init__(self) -> None:
        super().__init__(
            "This was broken off, as its process was ended from outside.",
            "What was found until then stays: go on with it.",
        )


class Task:
    """A task that waits or runs elsewhere.

    Attributes
    ----------
    study : Study
    name : str
    options : dict
        What it was asked for.
    future : concurrent.futures.Future
        Its result is plain data, with a list of ``sentences`` at least.
    """

    def __init__(self, study: "Study", name: str, future: "Future[dict[str, Any]]"):
        self.study, self.name, self.future = study, name, future
        self._ticket = _read(_file(study, name, TICKET)) or {}

    @property
    def options(self) -> dict[str, Any]:
        return dict(self._ticket.get("options", {}))

    @property
    def began(self) -> float | None:
        """When it was asked for, in seconds since the epoch; tells it from others of its name."""
        return self._ticket.get("began")

    def done(self) -> bool:
        """Whether it ended, well or not."""
        return self.future.done()

    def progress(self) -> dict[str, Any] | None:
        """The newest fact: share in [0, 1], message, and how far a search is; None before the first."""
        return _read(_file(self.study, self.name, PROGRESS))

    def cancel(self) -> None:
        """Stop at the next fact; what was found so far is kept."""
        path = _file(self.study, self.name, CANCEL)
        path.parent.mkdir(exist_ok=True)
        path.touch()

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for it; raises what it raised, and `Cancelled` where it was stopped before it had found anything.

        Raises
        ------
        BrokenOff
            If its process was ended from outside.
        """
        try:
            return self.future.result(timeout)
        except (WorkbenchError, TimeoutError):
            raise
        except Exception as error:
            ended = self._ended()
            if ended is not None and "refusal" in ended:
                raise WorkbenchError(*ended["refusal"]) from error
            raise BrokenOff from error

    def abandon(self) -> None:
        """Note that nobody carries it out any more, unless it has ended."""
        if self._ticket and self._ended() is None:
            _end(self.study, self.name, self._ticket, {"broken": True})

    def _ended(self) -> dict[str, Any] | None:
        """How it ended, as it is on disk; None where it didn't."""
        found = _read(_file(self.study, self.name, RESULT))
        return found if found and found.get("began") == self._ticket.get("began") else None


class TaskElsewhere(Task):
    """A task that was started by another page or an earlier one: it can be watched and stopped from here."""

    def __init__(self, study: "Study", name: str):
        super().__init__(study, name, Future())

    def done(self) -> bool:
        if self._ended() is not None:
            return True
        now = _read(_file(self.study, self.name, TICKET))
        return now is None or now["began"] != self._ticket["began"] or not alive(*now["process"])

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.done():
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"The task '{self.name}' still runs.")
            time.sleep(PAUSE)
        ended = self._ended()
        if ended is None or ended.get("broken"):
            raise BrokenOff
        if ended.get("cancelled"):
            raise Cancelled
        if "refusal" in ended:
            raise WorkbenchError(*ended["refusal"])
        return dict(ended["found"])


def last_task(study: "Study", name: str) -> TaskElsewhere | None:
    """The task of that name that was begun last, by whichever page, running or not; None where there was none."""
    return TaskElsewhere(study, name) if _read(_file(study, name, TICKET)) else None


def begin(study: "Study", name: str, options: dict[str, Any] | None = None) -> None:
    """Forget an earlier task of that name; raises `WorkbenchError` if there is no such task."""
    lookup(TASKS, name, "task")
    for kind in (PROGRESS, CANCEL):
        _file(study, name, kind).unlink(missing_ok=True)
    ticket = {"process": this_process(), "began": time.time(), "options": options or {}}
    with contextlib.suppress(OSError):  # on a full disk the work goes on, unseen by other pages
        _write(_file(study, name, TICKET), ticket)


def carry_out_task(
    study: "Study", name: str, options: dict[str, Any], alone: Told = lambda facts: None
) -> dict[str, Any]:
    """Do a task in this process.

    Parameters
    ----------
    study : Study
    name : str
    options : dict
    alone : callable
        Called with each fact; ends the process, or raises `Cancelled`, when nobody waits any more.
    """
    last = 0.0
    if (ticket := _read(_file(study, name, TICKET))) is not None:
        with contextlib.suppress(OSError):
            _write(_file(study, name, TICKET), {**ticket, "process": this_process()})

    def told(facts: dict[str, Any]) -> None:
        nonlocal last
        alone(facts)
        if _file(study, name, CANCEL).exists():
            raise Cancelled
        now = time.monotonic()
        if now - last >= EVERY or facts.get("share") == 1.0:
            last = now
            with contextlib.suppress(OSError):  # on a full disk the work goes on, unseen
                _write(_file(study, name, PROGRESS), facts)

    try:
        found = TASKS[name](study, told, **options)
    except Cancelled:
        _end(study, name, ticket, {"cancelled": True})
        raise
    except WorkbenchError as error:
        _end(study, name, ticket, {"refusal": [error.message, error.hint]})
        raise
    except Exception as error:
        what = f"Something unexpected went wrong: {type(error).__name__}: {str(error)[:300]}"
        _end(study, name, ticket, {"refusal": [what, ""]})
        raise
    _end(study, name, ticket, {"found": found})
    return found


def _end(study: "Study", name: str, ticket: dict[str, Any] | None, how: dict[str, Any]) -> None:
    """Note how a task ended, unless another of its name was begun since."""
    now = _read(_file(study, name, TICKET))
    if ticket is not None and now is not None and now["began"] == ticket["began"]:
        with contextlib.suppress(OSError):
            _write(_file(study, name, RESULT), {"began": ticket["began"], **how})


def _file(study: "Study", name: str, kind: str) -> Path:
    return study.path / "tasks" / f"{name}.{kind}"


def _write(path: Path, facts: dict[str, Any]) -> None:
    """All of it or nothing, whoever reads meanwhile."""
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(facts, default=str), encoding="utf-8")
    unfinished.replace(path)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there is none, or it was cut short
        return None
    return found if isinstance(found, dict) else None
