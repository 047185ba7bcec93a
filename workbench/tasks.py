"""Work on a whole study that takes minutes: started by a page, done where trials run, stoppable."""

import contextlib
import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import Cancelled, lookup

if TYPE_CHECKING:
    from workbench.study import Study

Told = Callable[[dict[str, Any]], None]
EVERY = 0.2  # seconds between two facts at least


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
        try:
            return dict(json.loads(_file(self.study, self.name, "json").read_text(encoding="utf-8")))
        except (OSError, ValueError):  # not begun, or just being written
            return None

    def cancel(self) -> None:
        """Stop at the next fact; what was found so far is kept."""
        path = _file(self.study, self.name, "cancel")
        path.parent.mkdir(exist_ok=True)
        path.touch()

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for it; raises what it raised, and `Cancelled` where it was stopped before it had found anything."""
        return self.future.result(timeout)


def begin(study: "Study", name: str) -> None:
    """Forget an earlier task of that name; raises `WorkbenchError` if there is no such task."""
    lookup(TASKS, name, "task")
    for kind in ("json", "cancel"):
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
            path = _file(study, name, "json")
            with contextlib.suppress(OSError):  # on a full disk the work goes on, unseen
                path.parent.mkdir(exist_ok=True)
                path.write_text(json.dumps(facts), encoding="utf-8")

    return TASKS[name](study, told, **options)


def _file(study: "Study", name: str, kind: str) -> Path:
    return study.path / "tasks" / f"{name}.{kind}"
