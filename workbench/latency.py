"""Paired, interleaved timing of two artifacts, for as long as it takes to be sure."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from workbench.estimates import Estimate, over_time
from workbench.machine import MUCH, Machine, Watch
from workbench.throttling import slowed

BLOCK_SECONDS = 0.01  # of each artifact in each block
WARMUP_SECONDS = 0.2
PRECISION = 0.03
LEAST_SECONDS = 1.6
LEAST_BLOCKS = 12
LOADED = 0.008  # of a speed-up's logarithm, the spread over ten measurements, each of files loaded anew
BUSY = 0.1  # the same, while others took all processors
GROWTH = 1.2  # of the number of blocks between two looks at the interval: rare looks keep it honest

Run = Callable[[], object]


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
    calls : Calls
        Of the second.
    blocks : int
    seconds : float
        How long it took.
    precise : bool
        Whether the speed-up's interval became as narrow as was asked.
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


def paired(
    first: Run,
    second: Run,
    *,
    seconds: float | None = None,
    precision: float = PRECISION,
    clock: Callable[[Run], float] = wall_clock,
    report: Callable[..., None] = lambda **facts: None,
) -> Paired:
    """Time two callables block by block in alternating order, after a warm-up, until the ratio is known well enough.

    Each block runs one for about 10 ms and then the other, and gives the median of each; the speed-up is taken from
    the blocks' own ratios, so that what slows the machine for longer than a block slows both. How the intervals stay
    honest on a machine whose noise has a memory is told at `over_time`.

    Parameters
    ----------
    first, second : callable
        The baseline, and what is compared with it.
    seconds : float
        It ends when these are spent, but not before 12 blocks; `budget` if left out.
    precision : float
        On a quiet machine it ends when the 95 % interval of the speed-up reaches less than this share to both sides.
    clock : callable
        Runs a callable and returns the seconds that it took.
    report : callable
        Told the share done; may raise `Cancelled`.
    """
    seconds = budget() if seconds is None else seconds
    runs = first, second
    repeats = [_warm_up(run) for run in runs]
    calls: list[list[np.ndarray]] = [[], []]
    cpu: list[list[float]] = [[], []]
    watch, began, look = Watch(), time.perf_counter(), LEAST_BLOCKS
    precise = sure = False
    spent, message = 0.0, "Timing against the baseline"
    while not sure and (spent < seconds or len(cpu[0]) < LEAST_BLOCKS):
        for which in (0, 1) if len(cpu[0]) % 2 == 0 else (1, 0):
            before = time.process_time()
            calls[which].append(np.array([clock(runs[which]) for _ in range(repeats[which])]))
            cpu[which].append(max(time.process_time() - before, 1e-9) / repeats[which])
        spent = time.perf_counter() - began
        watch.look()
        if len(cpu[0]) >= look and spent >= min(LEAST_SECONDS, seconds):
            speedup, _ = over_time(_medians(calls[0]) / _medians(calls[1]))
            precise, look = speedup.half_width <= precision, int(len(cpu[0]) * GROWTH) + 1
            sure = precise and not _seen(watch, calls[0], cpu[0]).disturbances()  # else drift may not have shown yet
            message = f"Timing against the baseline: {speedup.value:.2f}x ±{speedup.half_width:.0%}"
        report(share=1.0 if sure else min(1.0, spent / max(seconds, 1e-9)), message=message)
    return _summary(calls, np.array(cpu), spent, precise, _seen(watch, calls[0], cpu[0]))


def _seen(watch: Watch, blocks: list[np.ndarray], cpu: list[float]) -> Machine:
    """What was seen of the machine, and how its speed changed by the blocks of the first."""
    found = {"slowed": slowed(_medians(blocks)), "cpu_slowed": slowed(np.array(cpu))}
    return watch.seen().model_copy(update=found)


def _summary(calls: list[list[np.ndarray]], cpu: np.ndarray, seconds: float, precise: bool, machine: Machine) -> Paired:
    wall = np.array([_medians(blocks) for blocks in calls])
    speedup, drift = over_time(wall[0] / wall[1])
    quartiles = np.percentile(wall[0], [25, 50, 75])
    single = np.concatenate(calls[1])
    p50, p95, p99 = (float(value) for value in np.percentile(single, [50, 95, 99]) * 1e3)
    return Paired(
        first=over_time(wall[0] * 1e3)[0],
        second=over_time(wall[1] * 1e3)[0],
        speedup=unsure(speedup, machine),
        cpu_speedup=unsure(over_time(cpu[0] / cpu[1])[0], machine),
        calls=Calls(p50=p50, p95=p95, p99=p99, count=len(single)),
        blocks=wall.shape[1],
        seconds=seconds,
        precise=precise,
        noise=float((quartiles[2] - quartiles[0]) / quartiles[1]),
        drift=drift,
        cpu_share=float(cpu[1].mean() / single.mean()),
        machine=machine,
    )


def unsure(found: Estimate, machine: Machine) -> Estimate:
    """An interval that also allows for what differs from one measurement to the next.

    No single measurement sees that: a file loaded again lies elsewhere in memory and runs a little faster or slower
    (Mytkowicz et al.: Producing Wrong Data Without Doing Anything Obviously Wrong, 2009), and on a busy machine the
    neighbours change. How much it is was measured: see `LOADED` and `BUSY`, and the repeatability table of
    ``benchmarks/latency_honesty.py``; the latter grows with the share that other programs take.
    """
    share = machine.others or 0.0
    middle, more = np.log(found.value), 1.96 * np.hypot(LOADED, BUSY * share if share > MUCH else 0.0)
    low = middle - np.hypot(middle - np.log(found.low), more)
    high = middle + np.hypot(np.log(found.high) - middle, more)
    return Estimate(value=found.value, low=float(np.exp(low)), high=float(np.exp(high)))


def _medians(blocks: list[np.ndarray]) -> np.ndarray:
    return np.array([np.median(block) for block in blocks])


def _warm_up(run: Run) -> int:
    """Run it for a while; returns how often it runs in a block."""
    start, count = time.perf_counter(), 0
    while count < 2 or time.perf_counter() - start < WARMUP_SECONDS:
        run()
        count += 1
    each = (time.perf_counter() - start) / count
    return max(1, round(BLOCK_SECONDS / each))
