"""Where trials run: a local worker process, so that the caller stays responsive and a crash costs one trial."""

import contextlib
import getpass
import multiprocessing
import os
import tempfile
import threading
import time
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle  # carries an own module, defined in a notebook, into the worker
from filelock import FileLock  # between processes, and released by the system when one dies
from pebble import CONSTS, ProcessExpired, ProcessFuture, ProcessPool  # a pool whose running task can be stopped

from workbench.disk import refusal
from workbench.errors import WorkbenchError
from workbench.leftovers import Rooms, leave, move_in
from workbench.questions import Answer, answer
from workbench.recipe import Recipe
from workbench.runtimes import RUNTIMES
from workbench.storage import BY_USER, FINISHED, alive, lost, this_process
from workbench.study import Study
from workbench.tasks import Task, begin, carry_out_task, last_task
from workbench.trial import Trial

CONSTS.term_timeout = 0.3  # seconds between asking a process to end and ending it
TO_RETRY = 5.0  # seconds that another page has to try a trial once more whose worker ended
GRACE = 1.2  # seconds that a trial has to stop by itself before its process is ended


class Job:
    """A trial that waits or runs elsewhere.

    Attributes
    ----------
    study : Study
    number : int
        The trial's number.
    """

    def __init__(self, study: Study, number: int, pickled: bytes):
        self.study, self.number = study, number
        self._pickled = pickled
        self._future: ProcessFuture | None = None
        self._asked_to_stop = False
        self._begun = time.monotonic()
        self._settled = threading.Event()

    def trial(self) -> Trial:
        """The trial as it is now: its state, progress, metrics or reason."""
        return self.study.trial(self.number)

    def done(self) -> bool:
        """Whether the trial is complete, failed or cancelled."""
        return self._settled.is_set()

    def result(self, timeout: float | None = None) -> Trial:
        """Wait for the trial; raises `TimeoutError` after so many seconds."""
        if not self._settled.wait(timeout):
            raise TimeoutError(f"Trial {self.number} is still {self.trial().state}.")
        return self.trial()

    def cancel(self) -> None:
        """Stop the trial: at its next batch, or by ending its process after about a second. Returns at once."""
        if self.done() or self._asked_to_stop:
            return
        self._asked_to_stop = True
        with contextlib.suppress(OSError):  # on a full disk its process is ended instead
            self.study.storage.stop(self.number)
        if self.study.storage.record(self.number).state == "cancelled":
            self._settled.set()  # one that waited is passed over: to withdraw it would cost the worker its life
        elif self._future is not None:
            timer = threading.Timer(GRACE, self._future.cancel)
            timer.daemon = True
            timer.start()


class Elsewhere(Job):
    """A trial that waits or runs for another page or process; it can be watched and stopped from here.

    Should that process end before the trial, it is taken up here, once.
    """

    def __init__(self, study: Study, number: int, workers: "LocalWorkers"):
        super().__init__(study, number, b"")
        self._workers = workers
        self._lost_since: float | None = None

    def done(self) -> bool:
        record = self.study.storage.record(self.number)
        if not lost(record) or record.resumed:
            self._lost_since = None
            return record.state in FINISHED or lost(record)
        self._lost_since = self._lost_since or time.monotonic()
        if time.monotonic() - self._lost_since < TO_RETRY:
            return False
        self._workers.resume(self.study)
        return lost(self.study.storage.record(self.number))  # one that was deleted is left as it is

    def result(self, timeout: float | None = None) -> Trial:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.done():
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"Trial {self.number} is still {self.trial().state}.")
            time.sleep(0.1)
        return self.trial()


class LocalWorkers:
    """A pool of processes on this machine.

    Parameters
    ----------
    count : int
        How many trials run at once; timing wants one.
    """

    def __init__(self, count: int = 1):
        self._count = count
        self._pool: ProcessPool | None = None
        self._rooms = Rooms()
        self._replacing = threading.Lock()
        self._queueing = threading.RLock()  # a process that broke at once ends its job while it is handed over
        self._waiting: list[tuple[Job, bool]] = []  # with whether a job may be tried once more
        self._running: list[Job] = []
        self._tasks: list[Task] = []
        self._ready()

    def submit(self, study: Study, recipe: Recipe) -> Job:
        """Queue a recipe; the baseline goes first where it was never measured.

        Raises
        ------
        WorkbenchError
            If the study's runtime can't run the recipe, the study can't be written, or its model can't travel.
        """
        study.check(recipe)
        pickled = _pickled(study)
        known = [r for r in study.storage.records() if not r.recipe["steps"] and r.state not in ("failed", "cancelled")]
        if len(recipe) and not known:
            self._enqueue(study, Recipe(), pickled)
        return self._enqueue(study, recipe, pickled)

    def resume(self, study: Study) -> list[Job]:
        """Queue the trials again, each once, whose process is gone: with a closed page, or a kernel that was ended.

        Returns
        -------
        list of Job
            All that is under way in the study, by number, also what other pages have asked for.
        """
        pickled = _pickled(study)
        jobs = {number: Job(study, number, pickled) for number in study.storage.reclaim()}
        for job in jobs.values():
            self._schedule(job, retry=True)
        under_way = [record.number for record in study.storage.records() if record.state not in FINISHED]
        return [jobs.get(number) or Elsewhere(study, number, self) for number in under_way]

    def ask(self, study: Study, number: int, question: str, against: int | None = None) -> "Future[Answer]":
        """Have a question of `workbench.questions` answered, after what runs now.

        Returns
        -------
        concurrent.futures.Future
            Its result is the `Answer`; its exception a `WorkbenchError` where there is none.
        """
        future: Future[Answer] = self._ready().schedule(_answer, args=[_pickled(study), number, question, against])
        return future

    def start(self, study: Study, name: str, **options: Any) -> Task:
        """Start a task of `workbench.tasks` on the whole study, after what runs now.

        Returns
        -------
        Task
            The one that another page has started and that still runs, where there is one: it is not done twice.

        Raises
        ------
        WorkbenchError
            If there is no such task, or the study's model can't travel.
        """
        if (theirs := last_task(study, name)) is not None and not theirs.done():
            return theirs
        pickled = _pickled(study)
        begin(study, name, options)
        task = Task(study, name, self._ready().schedule(_work, args=[pickled, name, options]))
        self._tasks.append(task)
        task.future.add_done_callback(lambda _: task.abandon())
        return task

    def close(self) -> None:
        """End the processes; trials that wait or still run are marked as cancelled."""
        with self._queueing:
            waiting, self._waiting = self._waiting, []
        for job, _ in waiting:
            job.cancel()
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._rooms.clear()
        gone: Future = Future()
        gone.cancel()
        for job in list(self._running):  # a pool that is stopped doesn't tell of what it did just then
            self._ended(job, False, gone)
        for task in self._tasks:
            task.abandon()

    def _enqueue(self, study: Study, recipe: Recipe, pickled: bytes) -> Job:
        record = study.storage.add(recipe.to_dict(), recipe.hash)
        job = Job(study, record.number, pickled)
        self._schedule(job, retry=True)
        return job

    def move(self, job: Job, by: int) -> bool:
        """Let a job that waits run so many places later, or earlier where `by` is negative.

        Returns
        -------
        bool
            Whether it still waited here.
        """
        with self._queueing:
            jobs = [waiting for waiting, _ in self._waiting]
            if job not in jobs:
                return False
            at = jobs.index(job)
            self._waiting.insert(max(0, at + by), self._waiting.pop(at))
            return True

    def _schedule(self, job: Job, retry: bool) -> None:
        """Queue a job; one that is tried once more goes first."""
        with self._queueing:
            self._waiting.insert(len(self._waiting) if retry else 0, (job, retry))
        self._next()

    def _next(self) -> None:
        """Hand to the processes what they have room for."""
        with self._queueing:
            while self._waiting and len(self._running) < self._count:
                job, retry = self._waiting.pop(0)
                if job.done():
                    continue
                self._running.append(job)
                job._begun = time.monotonic()
                job._future = self._ready().schedule(_execute, args=[job._pickled, job.number])
                job._future.add_done_callback(partial(self._ended, job, retry))

    def _ended(self, job: Job, retry: bool, future: Future) -> None:
        with self._queueing:
            if job not in self._running:
                return
            self._running.remove(job)
        try:
            _settle(self, job, future, retry)
        finally:
            self._next()

    def _ready(self) -> ProcessPool:
        with self._replacing:
            if self._pool is None or not self._pool.active:  # a pool whose idle worker was killed is broken for good
                context: Any = multiprocessing.get_context("spawn")
                self._pool = ProcessPool(
                    self._count, initializer=_warm_up, initargs=(self._rooms.path,), context=context
                )
                self._pool.schedule(_nothing)  # starts the process
            return self._pool


def _settle(workers: LocalWorkers, job: Job, future: Future, retry: bool) -> None:
    """Store how a trial ended where its own process no longer could; whoever waits for it is told in any case."""
    again = False
    try:
        again = _store_end(workers, job, future, retry)
        workers._rooms.clear()
    finally:
        if not again:
            job._settled.set()


def _store_end(workers: LocalWorkers, job: Job, future: Future, retry: bool) -> bool:
    """Whether the trial was queued once more."""
    try:
        error = future.exception()
    except CancelledError as cancelled:
        error = cancelled
    record = job.study.storage.record(job.number)
    started = record.process is not None and record.state == "running"
    deadline = time.monotonic() + 2
    while started and error is not None and alive(*record.process) and time.monotonic() < deadline:  # type: ignore[misc]
        time.sleep(0.02)
    record = job.study.storage.record(job.number)
    died = isinstance(error, (ProcessExpired, BrokenProcessPool))
    if record.state not in FINISHED:
        if isinstance(error, CancelledError) or job._asked_to_stop:
            record.state, record.reason = "cancelled", BY_USER
        elif died and retry:
            record.state, record.process = "waiting", this_process()
            job.study.storage.save(record)
            workers._schedule(job, retry=False)
            return True
        elif died:
            record.state = "failed"
            record.reason = (
                f"The worker process died twice ({error}). It may have run out of memory: "
                "try a smaller batch size, or a smaller model."
            )
        elif refused := error if isinstance(error, WorkbenchError) else error and refusal(error):
            record.state, record.reason = "failed", str(refused)
        else:
            record.state = "failed"
            record.reason = (
                f"The worker process could not load the study: {type(error).__name__}: {error}. "
                "Define your model in the notebook, or in a module on PYTHONPATH."
            )
        record.seconds = time.monotonic() - job._begun if started else None
        job.study.storage.save(record)
    return False


def _pickled(study: Study) -> bytes:
    try:
        return cloudpickle.dumps(study)
    except Exception as error:  # what an own model holds may raise anything
        raise WorkbenchError(
            f"The model or the dataset can't be sent to a worker process: {type(error).__name__}: {error}.",
            "Keep locks, files and connections out of them, or use `study.run`.",
        ) from error


def _execute(pickled: bytes, number: int) -> None:
    study: Study = cloudpickle.loads(pickled)
    with _machine():
        if study.storage.record(number).state not in FINISHED:
            study.execute(number, on_progress=_end_if_alone)


def _answer(pickled: bytes, number: int, question: str, against: int | None) -> Answer:
    study: Study = cloudpickle.loads(pickled)
    with _machine():
        return answer(study, number, question, against)


def _work(pickled: bytes, name: str, options: dict[str, Any]) -> dict[str, Any]:
    study: Study = cloudpickle.loads(pickled)
    with _machine():
        return carry_out_task(study, name, options, _end_if_alone)


def _machine() -> FileLock:
    """One trial at a time on a machine, whichever page asked for it: what trains must not disturb what is timed."""
    Path(tempfile.gettempdir()).mkdir(parents=True, exist_ok=True)  # the system may have cleaned up what is old
    folder = Path(os.environ.get("WORKBENCH_LOCKS", tempfile.gettempdir()))
    return FileLock(folder / f"compression-workbench-{getpass.getuser()}.lock")


def _alone() -> bool:
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def _end_if_alone(facts: dict[str, Any]) -> None:
    """Nobody waits for a worker whose page's kernel is gone: it must not keep the machine busy.

    It ends without a word: nobody cancelled anything, and whoever opens the study next goes on.
    """
    if _alone():
        leave()
        os._exit(1)


def _nothing() -> None:
    pass


def _warm_up(rooms: Path) -> None:
    """Import what is slow to import before the first trial asks for it."""
    move_in(rooms)
    import workbench.carry_out
    import workbench.pruning  # noqa: F401

    for runtime in RUNTIMES.values():
        if runtime.version():
            runtime.warm_up()
