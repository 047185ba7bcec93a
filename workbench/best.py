"""The fastest runtime for a model on this machine, found by running it in each of them."""

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from workbench.agreement import Agreement, outputs_of
from workbench.candidates import Subject
from workbench.errors import Cancelled, WorkbenchError
from workbench.estimates import Estimate
from workbench.latency import Paired, Run, loads_of, paired
from workbench.latency import budget as most_seconds
from workbench.machine import Machine
from workbench.memory import shortage
from workbench.metrics import bytes_text, speed_verdict
from workbench.questions import Answer
from workbench.runtimes import RUNTIMES, Runtime

THIS_FILE = "1x: this file"
LEAST_SECONDS = 2.0  # of a timing that is worth something
Load = Callable[[], Run]


@dataclass(frozen=True)
class Tried:
    """One runtime, tried or left out.

    Attributes
    ----------
    runtime, version : str
    latency : Estimate or None
        Milliseconds of one call; None where it was left out.
    speedup : Estimate or None
        Over the first runtime, in one interleaved loop; None for the first itself.
    size_bytes : int
        Of the file that it runs.
    preparing : float
        Seconds that exporting (and compiling) and loading took.
    left_out : str
        Why it was not tried.
    note : str
        What else to know.
    agreement : Agreement or None
        Its answers against those of the first runtime; None for the first itself, and where there are none.
    """

    runtime: str
    version: str = ""
    latency: Estimate | None = None
    speedup: Estimate | None = None
    size_bytes: int = 0
    preparing: float = 0.0
    left_out: str = ""
    note: str = ""
    agreement: Agreement | None = None

    @property
    def title(self) -> str:
        """What the runtime is called."""
        return RUNTIMES[self.runtime].title if self.runtime in RUNTIMES else self.runtime

    def sentence(self) -> str:
        """What it gave, or why it was left out."""
        if self.latency is None:
            return f"{self.title} is left out: {self.left_out}"
        speed = f"{_times(self.speedup)}, " if self.speedup else ""
        note = f" ({self.note})" if self.note else ""
        alike = f", {self.agreement.words()}" if self.agreement else ""
        return (
            f"{self.title} {self.version}: {speed}{self.latency.value:.3g} ms, {bytes_text(self.size_bytes)}, "
            f"{self.preparing:.1f} s to prepare{alike}{note}"
        )

    def row(self) -> dict[str, str]:
        """What it gave, as a row of texts."""
        ms, alike = self.latency, self.agreement
        assert ms is not None
        same = "" if alike is None else f"{alike.error:.2%} off" if alike.same is None else f"{alike.same:.1%} same"
        return {
            "runtime": self.title,
            "ms": f"{ms.value:.3g} [{ms.low:.3g}, {ms.high:.3g}]",
            "speed": _times(self.speedup) if self.speedup else THIS_FILE,
            "answers": same,
            "ready in": f"{self.preparing:.1f} s",
        }


@dataclass(frozen=True)
class Best:
    """Every runtime for one model, and the one to take.

    Attributes
    ----------
    tried : list of Tried
        The first is what the others are compared with; then in the order of speed; last those left out.
    winner : str
        The runtime with the largest speed-up that was measured.
    margin : Estimate or None
        How many times faster than the runner-up it is, both timed against each other; None if there was no other, or
        it could not be timed again.
    threads, batch : int
    machine : Machine
        During the last of the timings.
    unsure : str
        Why there is no margin though there were others.
    """

    tried: list[Tried]
    winner: str
    margin: Estimate | None
    threads: int
    batch: int
    machine: Machine
    unsure: str = ""

    def sentences(self) -> list[str]:
        """The choice and how sure it is, then what each gave, and what disturbed the last timing."""
        return [self.choice(), *(tried.sentence() for tried in self.tried), *self._disturbed()]

    def choice(self) -> str:
        """The winner, and how sure that is."""
        measured = {tried.runtime: tried for tried in self.tried if tried.latency}
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        said = f"Best here with {threads} and batch {self.batch}: {measured[self.winner].title}."
        if self.margin is not None:
            second = next(t.title for t in _by_speed([*measured.values()]) if t.runtime != self.winner)
            interval = _times(self.margin)
            said += (
                f" It is {interval} the speed of {second}."
                if speed_verdict(self.margin) == "faster"
                else f" It and {second} can't be told apart: {interval}."
            )
        if len(measured) == 1:
            said += " No other could be timed."
        return said + (f" The fastest two could not be timed against each other: {self.unsure}" if self.unsure else "")

    def answer(self) -> Answer:
        """As a page shows it: the choice and what was left out in sentences, what was measured as a table."""
        left_out = [tried.sentence() for tried in self.tried if not tried.latency]
        rows = [tried.row() for tried in self.tried if tried.latency]
        return Answer([self.choice(), *self._disturbed(), *left_out], rows)

    def _disturbed(self) -> list[str]:
        return [f"The machine was not quiet: {text}." for text in self.machine.disturbances()]

    def __repr__(self) -> str:
        return "\n".join(self.sentences())


def best_runtime(
    subject: Subject,
    first: Runtime,
    *,
    seconds: float = 120.0,
    threads: int = 1,
    device: str = "cpu",
    keep: Path | None = None,
    report: Callable[..., None] = lambda **facts: None,
) -> Best:
    """Run a model in every runtime that can, and choose by what was measured.

    Each is timed against the first in one interleaved loop, and the fastest two against each other at the end. A
    runtime that can't keep the integers or the 16-bit floats of a trial is left out: its floats are another model. So
    is one that answers otherwise than the first (see `workbench.agreement`), and one that fails, however it does.

    Parameters
    ----------
    subject : Subject
        Its inputs are one batch.
    first : Runtime
        What the others are compared with.
    seconds : float
        When they are spent, the runtimes that are left are left out; what takes longest to prepare comes last.
    threads : int
    device : str
    keep : pathlib.Path, optional
        A folder that the winner's file is copied to, where it is not the trial's own.
    report : callable
        Told the share done; may raise `Cancelled`.

    Raises
    ------
    WorkbenchError
        If the first one can't run it.
    """
    ends = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as name:
        race = _Race(subject, first, Path(name), threads, device)
        known = (r.suited(threads, len(subject.inputs), device) for r in RUNTIMES.values() if r.name != first.name)
        others = sorted(known, key=lambda r: r.preparing())
        for index, runtime in enumerate(others):
            report(share=index / (len(others) + 1), name="Best", message=f"Trying {runtime.title}")
            left = ends - time.monotonic()
            race.enter(runtime, left, max(LEAST_SECONDS, min(most_seconds(), left / (len(others) + 1 - index))))
        report(share=len(others) / (len(others) + 1), name="Best", message="The fastest two against each other")
        found = race.end()
        if keep is not None:
            _keep(race.files[found.winner], subject, keep)
    report(share=1.0, name="Best", message="Done")
    return found


class _Race:
    """Files, sessions and timings of one model, runtime by runtime."""

    def __init__(self, subject: Subject, first: Runtime, folder: Path, threads: int, device: str):
        self._subject, self._folder, self._threads, self._device = subject, folder, threads, device
        self._load: dict[str, Load] = {}
        self.files: dict[str, Path] = {}
        self._tried: list[Tried] = []
        self._machine = Machine()
        try:
            self._first, self._expected = self._prepared(first)
        except WorkbenchError:
            raise
        except Exception as error:
            raise WorkbenchError(f"{first.title} can't run it. {_reason(error)}") from error
        if not np.isfinite(self._expected).all():
            raise WorkbenchError(
                "The model's outputs are NaN or infinite.", "Check its weights: no runtime can be told from another."
            )

    def enter(self, runtime: Runtime, left: float, seconds: float) -> None:
        """Try one more, with so many seconds left and so many for its timing; whatever it does wrong is its reason."""
        try:
            self._check(runtime, left - seconds)
            tried, outputs = self._prepared(runtime)
            agreement = Agreement.of(outputs, self._expected, self._subject.task)
            if refusal := agreement.refusal():
                raise WorkbenchError(refusal)
            timing = self._timed(self._first, tried, seconds)
        except Cancelled:
            raise
        except Exception as error:
            self._tried.append(Tried(runtime.name, left_out=_reason(error)))
            return
        found = replace(tried, latency=timing.second, speedup=timing.speedup, agreement=agreement)
        self._tried.append(found)
        self._first, self._machine = replace(self._first, latency=timing.first), timing.machine

    def end(self) -> Best:
        """The choice: the fastest two are timed against each other, a single one against itself."""
        ranked = _by_speed([self._first, *(t for t in self._tried if t.latency)])
        margin, unsure = None, ""
        if len(ranked) > 1:
            try:
                timing = self._timed(ranked[1], ranked[0], most_seconds())
                margin, self._machine = timing.speedup, timing.machine
            except Exception as error:
                unsure = _reason(error)
        else:
            timing = self._timed(self._first, self._first, LEAST_SECONDS)
            self._machine, ranked = timing.machine, [replace(self._first, latency=timing.first)]
        if margin is not None and margin.value < 1:
            ranked[:2] = ranked[1::-1]
            margin = Estimate(value=1 / margin.value, low=1 / margin.high, high=1 / margin.low)
        start = next(t for t in ranked if t.runtime == self._first.runtime)
        shown = [start, *(t for t in ranked if t is not start), *(t for t in self._tried if not t.latency)]
        batch = len(self._subject.inputs)
        return Best(shown, ranked[0].runtime, margin, self._threads, batch, self._machine, unsure)

    def _check(self, runtime: Runtime, left: float) -> None:
        runtime.check(device=self._device)
        runtime.check_export()
        self._subject.check(runtime)
        if (needed := runtime.preparing()) > left:
            raise WorkbenchError(
                f"Preparing it takes about {needed:.0f} s (an estimate), "
                f"and {max(0.0, left):.0f} s of the budget were left.",
                "Give a larger budget.",
            )

    def _prepared(self, runtime: Runtime) -> tuple[Tried, np.ndarray]:
        """What was prepared, and its outputs; what loads it, anew each time, is noted."""
        subject, began = self._subject, time.perf_counter()
        path, note = subject.file_for(runtime, self._folder)
        session = runtime.load(path, self._threads, self._device)
        session(subject.inputs)  # some do the rest of their work at the first call
        spent = time.perf_counter() - began
        outputs = outputs_of(session, subject.inputs if subject.samples is None else subject.samples)
        self.files[runtime.name] = path
        self._load[runtime.name] = lambda: partial(runtime.load(path, self._threads, self._device), subject.inputs)
        size, version = path.stat().st_size, runtime.version() or ""
        return Tried(runtime.name, version, size_bytes=size, preparing=spent, note=note), outputs

    def _timed(self, one: Tried, two: Tried, seconds: float) -> Paired:
        def both() -> tuple[Run, Run]:
            return self._load[one.runtime](), self._load[two.runtime]()

        loads = loads_of(one.size_bytes + two.size_bytes, self._device)
        return paired(*both(), reload=both, loads=loads, seconds=seconds)


def _reason(error: Exception) -> str:
    """Why something failed, in a sentence, whatever it raised."""
    if isinstance(error, WorkbenchError):
        return str(error)
    told = f"Something unexpected went wrong: {type(error).__name__}: {str(error)[:300]}"
    return shortage(error, "trying it") or told


def _keep(file: Path, subject: Subject, folder: Path) -> None:
    """Copy a file, unless it is the trial's own; what an earlier choice left there goes."""
    shutil.rmtree(folder, ignore_errors=True)
    if file != subject.artifact:
        folder.mkdir(parents=True)
        shutil.copy(file, folder)


def _times(ratio: Estimate) -> str:
    return f"{ratio.value:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


def _by_speed(tried: list[Tried]) -> list[Tried]:
    return sorted(tried, key=lambda t: t.speedup.value if t.speedup else 1.0, reverse=True)
