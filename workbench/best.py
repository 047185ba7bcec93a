"""The fastest runtime for a model on this machine, found by running it in each of them."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from workbench.candidates import Subject
from workbench.errors import WorkbenchError
from workbench.estimates import Estimate
from workbench.latency import Paired, Run, loads_of, paired
from workbench.latency import budget as most_seconds
from workbench.machine import Machine
from workbench.metrics import bytes_text, speed_verdict
from workbench.runtimes import RUNTIMES, Runtime

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
    """

    runtime: str
    version: str = ""
    latency: Estimate | None = None
    speedup: Estimate | None = None
    size_bytes: int = 0
    preparing: float = 0.0
    left_out: str = ""
    note: str = ""

    def sentence(self) -> str:
        """What it gave, or why it was left out."""
        if self.latency is None:
            return f"{self.runtime} is left out: {self.left_out}"
        speed = f"{self.speedup.value:.2f}x [{self.speedup.low:.2f}, {self.speedup.high:.2f}], " if self.speedup else ""
        note = f" ({self.note})" if self.note else ""
        return (
            f"{self.runtime} {self.version}: {speed}{self.latency.value:.3g} ms, {bytes_text(self.size_bytes)}, "
            f"{self.preparing:.1f} s to prepare{note}"
        )


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
        How many times faster than the runner-up it is, both timed against each other; None if there was no other.
    threads, batch : int
    machine : Machine
        During the last of the timings.
    """

    tried: list[Tried]
    winner: str
    margin: Estimate | None
    threads: int
    batch: int
    machine: Machine

    def sentences(self) -> list[str]:
        """The choice and how sure it is, then what each gave."""
        said = f"Best here with {self.threads} thread{'s' * (self.threads > 1)} and batch {self.batch}: {self.winner}."
        measured = [tried for tried in self.tried if tried.latency]
        if self.margin is not None:
            second = next(t.runtime for t in _by_speed(measured) if t.runtime != self.winner)
            interval = f"{self.margin.value:.2f}x [{self.margin.low:.2f}, {self.margin.high:.2f}]"
            verdict = speed_verdict(self.margin)
            said += (
                f" It is {interval} the speed of {second}."
                if verdict == "faster"
                else f" It and {second} can't be told apart: {interval}."
            )
        disturbed = [f"The machine was not quiet: {text}." for text in self.machine.disturbances()]
        return [said, *(tried.sentence() for tried in self.tried), *disturbed]

    def __repr__(self) -> str:
        return "\n".join(self.sentences())


def best_runtime(
    subject: Subject,
    first: Runtime,
    *,
    seconds: float = 120.0,
    threads: int = 1,
    device: str = "cpu",
    report: Callable[..., None] = lambda **facts: None,
) -> Best:
    """Run a model in every runtime that can, and choose by what was measured.

    Each is timed against the first in one interleaved loop, and the fastest two against each other at the end. A
    runtime that can't keep the integers or the 16-bit floats of a trial is left out: its floats are another model.

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
    report : callable
        Told the share done; may raise `Cancelled`.

    Raises
    ------
    WorkbenchError
        If the first one can't run it.
    """
    ends = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as name:
        folder, load = Path(name), dict[str, Load]()
        start, load[first.name] = _prepared(subject, first, folder, threads, device)
        known = (r.suited(threads, len(subject.inputs), device) for r in RUNTIMES.values() if r.name != first.name)
        others = sorted(known, key=lambda r: r.preparing())
        tried, machine = [], Machine()
        for index, runtime in enumerate(others):
            report(share=index / (len(others) + 1), name="Best", message=f"Trying {runtime.title}")
            left = ends - time.monotonic()
            each = max(LEAST_SECONDS, min(most_seconds(), left / (len(others) + 1 - index)))
            try:
                _check(subject, runtime, device, left - each)
                found, load[runtime.name] = _prepared(subject, runtime, folder, threads, device)
            except WorkbenchError as error:
                tried.append(Tried(runtime.name, left_out=str(error)))
                continue
            timing = _timed(
                load[first.name], load[runtime.name], loads_of(start.size_bytes + found.size_bytes, device), each
            )
            tried.append(replace(found, latency=timing.second, speedup=timing.speedup))
            start, machine = replace(start, latency=timing.first), timing.machine
        if start.latency is None:  # it is alone: timed against itself
            timing = _timed(load[first.name], load[first.name], loads_of(2 * start.size_bytes, device), LEAST_SECONDS)
            start, machine = replace(start, latency=timing.first), timing.machine
        ranked = _by_speed([start, *(t for t in tried if t.latency)])
        margin = None
        if len(ranked) > 1:
            report(share=len(others) / (len(others) + 1), name="Best", message="The fastest two against each other")
            one, two = ranked[:2]
            loads = loads_of(one.size_bytes + two.size_bytes, device)
            timing = _timed(load[two.runtime], load[one.runtime], loads, most_seconds())
            margin, machine = timing.speedup, timing.machine
            if margin.value < 1:
                ranked[:2] = ranked[1::-1]
                margin = Estimate(value=1 / margin.value, low=1 / margin.high, high=1 / margin.low)
    report(share=1.0, name="Best", message="Done")
    shown = [start, *(t for t in ranked if t is not start), *(t for t in tried if not t.latency)]
    return Best(shown, ranked[0].runtime, margin, threads, len(subject.inputs), machine)


def _check(subject: Subject, runtime: Runtime, device: str, left: float) -> None:
    runtime.check(device=device)
    runtime.check_export()
    subject.check(runtime)
    if (needed := runtime.preparing()) > left:
        raise WorkbenchError(
            f"Preparing it takes about {needed:.0f} s (an estimate), "
            f"and {max(0.0, left):.0f} s of the budget were left.",
            "Give a larger budget.",
        )


def _prepared(subject: Subject, runtime: Runtime, folder: Path, threads: int, device: str) -> tuple[Tried, Load]:
    """What was prepared, and what loads it (anew, each time that it is called) and gives what runs it."""
    began = time.perf_counter()
    path, note = subject.file_for(runtime, folder)

    def load() -> Run:
        return partial(runtime.load(path, threads, device), subject.inputs)

    load()()  # some do the rest of their work at the first call
    spent = time.perf_counter() - began
    return Tried(runtime.name, runtime.version() or "", None, None, path.stat().st_size, spent, "", note), load


def _timed(first: Load, second: Load, loads: int, seconds: float) -> Paired:
    def both() -> tuple[Run, Run]:
        return first(), second()

    return paired(*both(), reload=both, loads=loads, seconds=seconds)


def _by_speed(tried: list[Tried]) -> list[Tried]:
    return sorted(tried, key=lambda t: t.speedup.value if t.speedup else 1.0, reverse=True)
