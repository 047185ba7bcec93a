"""Work on a whole study that takes minutes: started by a page, done where trials run, stoppable."""

import contextlib
import json
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
LOOK = 0.1  # seconds between two looks whether a task ended that another process does


def prepare(study: "Study", told: Told, **options: Any) -> dict[str, Any]:
    """Measure what predictions go by."""
    study.prepare_predictions(on_progress=told, **options)
    return {"sentences": ["Predictions are ready."]}


def search(study: "Study", told: Told, **options: Any) -> dict[str, Any]:
    """Search; the outcome as plain data."""
    found = study.search(on_progress=told, **options)
    return {
        "sentences": found.sentences(),
        "front": [trial.number for trial in found.front],
        "best": found.best.number if found.best else None,
        "history": [asdict(progress) for progress in found.history],
        "importance": found.importance,
    }


TASKS: dict[str, Callable[..., dict[str, Any]]] = {"prepare": prepare, "search": search}


class Task:
    """A task that waits or runs elsewhere.

    Attributes
    ----------
    study : Study
    name : str
    future : concurrent.futures.Future
        Its result is plain data, with a list of ``sentences`` at least.
    """

    def __init__(self, study: "Study", name: str, future: "Future[dict[str, Any]]"):
        self.study, self.name, self.future = study, name, future

    def done(self) -> bool:
        """Whether it ended, well or not."""
        return self.future.done()

    def progress(self) -> dict[str, Any] | None:
        """The newest fact: share in [0, 1], message, and the hypervolume of a search; None before the first."""
        facts = _read(self.study, self.name, "json")
        return None if facts is None else dict(facts)

    def cancel(self) -> None:
        """Stop at the next fact; what was found so far is kept."""
        path = _file(self.study, self.name, "cancel")
        path.parent.mkdir(exist_ok=True)
        path.touch()

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for it; raises what it raised, and `Cancelled` where it was stopped before it had found anything."""
        return self.future.result(timeout)


class Elsewhere(Task):
    """A task that another page or process began, as its files tell; it can be watched and stopped from here."""

    def __init__(self, study: "Study", name: str):
        super().__init__(study, name, Future())

    def done(self) -> bool:
        return not _runs(self.study, self.name)

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.done():
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"The task '{self.name}' still runs.")
            time.sleep(LOOK)
        ended = _read(self.study, self.name, "ended")
        if ended is None:
            raise WorkbenchError(
                f"The process of the task '{self.name}' ended before it was done.",
                "Start it again: what it found is kept, and it goes on from there.",
            )
        if ended["refusal"] is not None:
            raise WorkbenchError(*ended["refusal"])
        return dict(ended["result"])


def under_way(study: "Study", name: str) -> Elsewhere | None:
    """The task of that name that some process does now; None where there is none."""
    return Elsewhere(study, name) if _runs(study, name) else None


def begin(study: "Study", name: str) -> None:
    """Forget an earlier task of that name; raises `WorkbenchError` if there is no such task, or one runs already."""
    lookup(TASKS, name, "task")
    if _runs(study, name):
        raise WorkbenchError("This runs already in another page.", "Wait for it, or load this page again and stop it.")
    for kind in ("json", "cancel", "process", "ended"):
        _file(study, name, kind).unlink(missing_ok=True)


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
        Called with each fact; raises `Cancelled` when nobody waits any more.
    """
    last = 0.0

    def told(facts: dict[str, Any]) -> None:
        nonlocal last
        alone(facts)
        if _file(study, name, "cancel").exists():
            raise Cancelled
        now = time.monotonic()
        if now - last >= EVERY or facts.get("share") == 1.0:
            last = now
            _write(study, name, "json", facts)

    _write(study, name, "process", this_process())
    refusal: tuple[str, str] | None = None
    result: dict[str, Any] = {}
    try:
        result = TASKS[name](study, told, **options)
    except WorkbenchError as error:
        refusal = error.message, error.hint
        raise
    except Exception as error:
        refusal = f"Something unexpected went wrong: {type(error).__name__}: {error}", ""
        raise
    finally:
        _write(study, name, "ended", {"result": result, "refusal": refusal})
        _file(study, name, "process").unlink(missing_ok=True)
    return result


def _file(study: "Study", name: str, kind: str) -> Path:
    return study.path / "tasks" / f"{name}.{kind}"


def _runs(study: "Study", name: str) -> bool:
    process = _read(study, name, "process")
    return process is not None and alive(*process)


def _read(study: "Study", name: str, kind: str) -> Any:
    try:
        return json.loads(_file(study, name, kind).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not begun, or just being written
        return None


def _write(study: "Study", name: str, kind: str, facts: Any) -> None:
    path = _file(study, name, kind)
    with contextlib.suppress(OSError):  # on a full disk the work goes on, unseen
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(facts), encoding="utf-8")
