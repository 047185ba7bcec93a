"""Paired, interleaved timing of two artifacts, for as long as it takes to be sure."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import psutil
from pydantic import BaseModel, ConfigDict

from workbench.estimates import Estimate, over_loads, over_time
from workbench.machine import MUCH, Machine, Watch
from workbench.throttling import slowed

BLOCK_SECONDS = 0.01  # of each artifact in each block
WARMUP_SECONDS = 0.2
PRECISION = 0.03
LEAST_SECONDS = 1.6
LEAST_BLOCKS = 12
LOADS = 8  # of both files, at most
LOADING = 0.25  # of the time may go into it
HELD = 2**28  # bytes that more loads may take: of files, and of memory
LEAST_OF_LOAD = 3  # blocks
LOADED = 0.012  # of a speed-up's logarithm, the spread from load to load on the machines where it was measured
LOADED_ALONE = LOADED / 2**0.5  # of a latency's: the loads of two files were seen to be independent of each other
BUSY = 0.1  # the same, from measurement to measurement, while others took all processors
GROWTH = 1.2  # of the number of blocks between two looks at the interval: rare looks keep it honest

Run = Callable[[], object]
Pair = tuple[Run, Run]


class Calls(BaseModel):
    """Single calls of one artifact: the milliseconds that so many percent of them took at most."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    p50: float
    p95: float
    p99: float
    count: int


@dataclass(frozen=True)
class Paired:
    """Two artifacts timed in one loop: latencies in milliseconds, speed-ups as ratios first / second.

    Attributes
    ----------
    first, second, speedup, cpu_speedup : Estimate
        Their intervals allow for what loads differ by, and for a busy machine.
    calls : Calls
        Of the second.
    blocks : int
    loads : int
        How often both were loaded for it.
    load_spread : float
        By what the speed-up differs from load to load, as a share; where they were loaded once, what is usual.
    seconds : float
        How long it took.
    precise : bool
        Whether the speed-up's interval became as narrow as was asked, what loads differ by left out.
    noise : float
        Spread (interquartile range over median) of the first's block medians.
    drift : float
        How much the speed-up itself wandered during the measurement, as a share.
    cpu_share : float
        Processor seconds in a second of the second's runs.
    machine : Machine
    """

    first: Estimate
    second: Estimate
    speedup: Estimate
    cpu_speedup: Estimate
    calls: Calls
    blocks: int
    loads: int
    load_spread: float
    seconds: float
    precise: bool
    noise: float
    drift: float
    cpu_share: float
    machine: Machine


def budget() -> float:
    """The most seconds that a timing takes on a noisy machine: 4, or what WORKBENCH_TIMING_SECONDS says."""
    return float(os.environ.get("WORKBENCH_TIMING_SECONDS", "4"))


def wall_clock(run: Run) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def processor_clock(run: Run) -> float:
    """Seconds of processor time that one run took, in all threads: what other programs take meanwhile isn't in it."""
    start = time.process_time()
    run()
    return time.process_time() - start


def cuda_clock(run: Run) -> float:
    """Seconds of one run between two events on the GPU's own clock; waits until all its work is done."""
    import torch

    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1e3


def loads_of(size_bytes: int, device: str = "cpu") -> int:
    """How often files of so many bytes together are loaded for a timing: fewer times where they are large.

    On a GPU once, as nobody can tell here how much of its memory that takes.
    """
    return min(LOADS, max(1, HELD // max(1, size_bytes))) if device == "cpu" else 1


def paired(
    first: Run,
    second: Run,
    *,
    reload: Callable[[], Pair] | None = None,
    loads: int = LOADS,
    seconds: float | None = None,
    precision: float = PRECISION,
    clock: Callable[[Run], float] = wall_clock,
    report: Callable[..., None] = lambda **facts: None,
) -> Paired:
    """Time two callables block by block in alternating order, after a warm-up, until the ratio is known well enough.

    Each block runs one for about 10 ms and then the other, and gives the median of each; the speed-up is taken from
    the blocks' own ratios, so that what slows the machine for longer than a block slows both. How the intervals stay
    honest on a machine whose noise has a memory is told at `over_time`. Both are loaded several times, and blocks go
    round these loads, as no single one is what a user will get: see `over_loads`.

    Parameters
    ----------
    first, second : callable
        The baseline, and what is compared with it.
    reload : callable, optional
        Loads both anew and gives what runs them. Without it the interval allows for what is usual.
    loads : int
        At most so many, the first included: fewer where that takes more than a quarter of the time or much memory, or
        leaves less than three blocks for each.
    seconds : float
        It ends when these are spent, but not before 12 blocks; `budget` if left out.
    precision : float
        On a quiet machine it ends when the 95 % interval of the speed-up reaches less than this share to both sides,
        what loads differ by left out, as more blocks don't change that.
    clock : callable
        Runs a callable and returns the seconds that it took.
    report : callable
        Told the share done; may raise `Cancelled`.
    """
    seconds = budget() if seconds is None else seconds
    each = [_warm_up(run) for run in (first, second)]
    repeats = [max(1, round(BLOCK_SECONDS / call)) for call in each]
    blocks = max(LEAST_BLOCKS, seconds / sum(n * call for n, call in zip(repeats, each, strict=True)))
    watch, began, look = Watch(), time.perf_counter(), LEAST_BLOCKS
    most = min(loads, int(blocks / LEAST_OF_LOAD)) - 1
    pairs = [(first, second), *_loaded(reload, most, began + seconds * LOADING)]
    began = max(began, time.perf_counter() - seconds * LOADING)  # what a slow load takes longer is not lost
    calls: list[list[np.ndarray]] = [[], []]
    cpu: list[list[float]] = [[], []]
    precise = sure = False
    spent, message = 0.0, "Timing against the baseline"
    while not sure and (spent < seconds or len(cpu[0]) < LEAST_BLOCKS):
        round_, place = divmod(len(cpu[0]), len(pairs))
        for which in (0, 1) if (round_ + place) % 2 == 0 else (1, 0):
            run, before = pairs[place][which], time.process_time()
            calls[which].append(np.array([clock(run) for _ in range(repeats[which])]))
            cpu[which].append(max(time.process_time() - before, 1e-9) / repeats[which])
        spent = time.perf_counter() - began
        watch.look()
        if len(cpu[0]) >= look and spent >= min(LEAST_SECONDS, seconds):
            ratios = _medians(calls[0]) / _medians(calls[1])
            speedup, _ = over_time(over_loads(ratios, np.arange(len(ratios)) % len(pairs), LOADED)[0])
            precise, look = speedup.half_width <= precision, int(len(cpu[0]) * GROWTH) + 1
            sure = precise and not _seen(watch, calls[0], cpu[0]).disturbances()  # else drift may not have shown yet
            message = f"Timing against the baseline: {speedup.value:.2f}x ±{speedup.half_width:.0%}"
        report(share=1.0 if sure else min(1.0, spent / max(seconds, 1e-9)), message=message)
    return summary(calls, np.array(cpu), len(pairs), spent, precise, _seen(watch, calls[0], cpu[0]))


def _loaded(reload: Callable[[], Pair] | None, most: int, until: float) -> Iterator[Pair]:
    """More loads of both, warm, as long as there is time and they don't take much memory."""
    process = psutil.Process()
    allowed = process.memory_info().rss + HELD
    while reload is not None and most > 0 and time.perf_counter() < until and process.memory_info().rss < allowed:
        pair = reload()
        for run in pair:
            _warm_up(run, BLOCK_SECONDS)
        yield pair
        most -= 1


def _seen(watch: Watch, blocks: list[np.ndarray], cpu: list[float]) -> Machine:
    """What was seen of the machine, and how its speed changed by the blocks of the first."""
    found = {"slowed": slowed(_medians(blocks)), "cpu_slowed": slowed(np.array(cpu))}
    return watch.seen().model_copy(update=found)


def summary(
    calls: list[list[np.ndarray]], cpu: np.ndarray, loads: int, seconds: float, precise: bool, machine: Machine
) -> Paired:
    """What a finished measurement says.

    Parameters
    ----------
    calls : list of list of numpy.ndarray
        Of the first and of the second, for each block the seconds of its calls; blocks go round the loads.
    cpu : numpy.ndarray
        Shape (2, blocks): processor seconds of a call.
    loads : int
    seconds : float
    precise : bool
    machine : Machine
        As in `Paired`.
    """
    wall = np.array([_medians(blocks) for blocks in calls])
    first, second = (_over_all(figures * 1e3, loads, LOADED_ALONE, machine) for figures in wall)
    speedup = _over_all(wall[0] / wall[1], loads, LOADED, machine)
    quartiles = np.percentile(first.freed, [25, 50, 75])
    single = np.concatenate(calls[1])
    p50, p95, p99 = (float(value) for value in np.percentile(single, [50, 95, 99]) * 1e3)
    return Paired(
        first=first.estimate,
        second=second.estimate,
        speedup=speedup.estimate,
        cpu_speedup=_over_all(cpu[0] / cpu[1], loads, LOADED, machine).estimate,
        calls=Calls(p50=p50, p95=p95, p99=p99, count=len(single)),
        blocks=wall.shape[1],
        loads=loads,
        load_spread=speedup.spread,
        seconds=seconds,
        precise=precise,
        noise=float((quartiles[2] - quartiles[0]) / quartiles[1]),
        drift=speedup.drift,
        cpu_share=float(cpu[1].mean() / single.mean()),
        machine=machine,
    )


@dataclass(frozen=True)
class _Found:
    """The typical one of the blocks' figures, these freed of what loads differ by, and that spread and the drift."""

    estimate: Estimate
    freed: np.ndarray
    spread: float
    drift: float


def _over_all(figures: np.ndarray, loads: int, usual: float, machine: Machine) -> _Found:
    """Over time, over loads, and on the machine as it was."""
    freed, reach, spread = over_loads(figures, np.arange(len(figures)) % loads, usual)
    typical, drift = over_time(freed)
    return _Found(unsure(typical, machine, reach), freed, spread, drift)


def unsure(found: Estimate, machine: Machine, loaded: float = 0.0) -> Estimate:
    """An interval that also allows for what differs from one measurement to the next.

    Parameters
    ----------
    found : Estimate
    machine : Machine
        On a busy one the neighbours change. By how much that changes a speed-up was measured: see `BUSY`, which grows
        with the share of the processors that other programs take. Latencies were seen to change by little more.
    loaded : float
        What loading the files again may change, as a logarithm, see `over_loads`.
    """
    share = machine.others or 0.0
    middle, more = np.log(found.value), np.hypot(loaded, 1.96 * BUSY * share if share > MUCH else 0.0)
    low = middle - np.hypot(middle - np.log(found.low), more)
    high = middle + np.hypot(np.log(found.high) - middle, more)
    return Estimate(value=found.value, low=float(np.exp(low)), high=float(np.exp(high)))


def _medians(blocks: list[np.ndarray]) -> np.ndarray:
    return np.array([np.median(block) for block in blocks])


def _warm_up(run: Run, seconds: float = WARMUP_SECONDS) -> float:
    """Run it for a while; returns the seconds that a run takes."""
    start, count = time.perf_counter(), 0
    while count < 2 or time.perf_counter() - start < seconds:
        run()
        count += 1
    return (time.perf_counter() - start) / count
