"""Work on a whole study that takes minutes: started by a page, done where trials run, stoppable, seen by all pages."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from workbench import tickets
from workbench.crossover import answer
from workbench.errors import Cancelled, WorkbenchError, lookup
from workbench.questions import EXPORTED, Answer, keep
from workbench.storage import alive
from workbench.tickets import CANCEL, PROGRESS, Told, asked, end_of, file, read, shown, ticket_of

if TYPE_CHECKING:
    from workbench.study import Study

PAUSE = 0.1  # seconds between two looks at a task that runs for another page


def prepare(study: "Study", told: Told, **options: Any) -> dict[str, Any]:
    """Measure what predictions go by."""
    study.prepare_predictions(on_progress=told, **options)
    return {"sentences": ["Predictions are ready."]}


def search(study: "Study", told: Told, **options: Any) -> dict[str, Any]:
    """Search; the outcome as plain data."""
    return study.search(on_progress=told, **options).facts()


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


def runtimes(study: "Study", told: Told, number: int) -> dict[str, Any]:
    """A trial in every runtime; the answer, and the fastest file, are kept with the trial."""
    folder = study.storage.folder(number) / EXPORTED / FASTEST
    return _kept(study, number, "runtimes", study.best_runtime(number, on_progress=told, keep=folder).answer())


def grid(study: "Study", told: Told, number: int, runtime: str | None = None) -> dict[str, Any]:
    """A trial by threads and inputs in a call, in its own runtime or another; the answer is kept with the trial."""
    found = study.grid(number, on_progress=told, runtime=runtime)
    return _kept(study, number, "grid" if runtime is None else f"grid-{runtime}", found.answer())


def crossovers(study: "Study", told: Told, number: int) -> dict[str, Any]:
    """From how many zeros on each shape of a trial's layers is faster sparse; the answer is kept with the trial."""
    return _kept(study, number, "crossovers", answer(study.crossovers(number, on_progress=told)))


def _kept(study: "Study", number: int, question: str, answer: Answer) -> dict[str, Any]:
    keep(study, number, question, answer)
    return {"sentences": answer.sentences}


FASTEST = "fastest"  # the folder, among a trial's exports, of the file that is fastest elsewhere
VIEWS = ("accuracy", "output error")
"""Of sensitivity: what its figures say."""
TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    task.__name__: task for task in (prepare, search, sensitivity, runtimes, grid, crossovers)
}


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
        What it was asked for; {} where that can't be asked for again.
    future : concurrent.futures.Future
        Its result is plain data, with a list of ``sentences`` at least.
    """

    def __init__(self, study: "Study", name: str, future: "Future[dict[str, Any]]"):
        self.study, self.name, self.future = study, name, future
        self._ticket = ticket_of(study, name) or {}

    @property
    def options(self) -> dict[str, Any]:
        return asked(self._ticket)

    @property
    def of_program(self) -> bool:
        """Whether it was begun from Python or the command line, not by a page."""
        return bool(self._ticket.get("program"))

    @property
    def began(self) -> float | None:
        """When it was asked for, in seconds since the epoch; tells it from others of its name."""
        return self._ticket.get("began")

    def done(self) -> bool:
        """Whether it ended, well or not."""
        return self.future.done()

    def progress(self) -> dict[str, Any] | None:
        """The newest fact: share in [0, 1], message, and how far a search is; None before the first."""
        return read(file(self.study, self.name, PROGRESS))

    def cancel(self) -> None:
        """Stop at the next fact; what was found so far is kept."""
        path = file(self.study, self.name, CANCEL)
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
            tickets.end(self.study, self.name, self._ticket, {"broken": True})

    def _ended(self) -> dict[str, Any] | None:
        """How it ended, as it is on disk; None where it didn't."""
        return end_of(self.study, self.name, self._ticket)


class TaskElsewhere(Task):
    """A task of another page, an earlier one, or a program: it can be watched and stopped from here."""

    def __init__(self, study: "Study", name: str):
        super().__init__(study, name, Future())

    def done(self) -> bool:
        if self._ended() is not None:
            return True
        now = ticket_of(self.study, self.name)
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
    """The task of that name that was begun last, by whoever, running or not; None where there was none."""
    return TaskElsewhere(study, name) if ticket_of(study, name) else None


def any_running(study: "Study") -> bool:
    """Whether a task of the study waits or runs, in whichever process."""
    return any(tickets.running(study, name) for name in TASKS)


def begin(study: "Study", name: str, options: dict[str, Any] | None = None) -> None:
    """Forget an earlier task of that name; raises `WorkbenchError` if there is no such task."""
    lookup(TASKS, name, "task")
    tickets.begin(study, name, options)


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
    return shown(study, name, lambda told: TASKS[name](study, told, **options), alone)
