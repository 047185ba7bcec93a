"""Paired, interleaved timing of two artifacts."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workbench.estimates import Estimate, median_of

BLOCKS = 40
BLOCK_SECONDS = 0.02  # of each artifact in each block
WARMUP_SECONDS = 0.2


@dataclass(frozen=True)
class Paired:
    """Two artifacts timed in one loop: latencies in milliseconds, speed-ups as ratios first / second."""

    first: Estimate
    second: Estimate
    speedup: Estimate
    cpu_speedup: Estimate
    blocks: int
    noise: float


def paired(
    first: Callable[[], object],
    second: Callable[[], object],
    blocks: int = BLOCKS,
    report: Callable[..., None] = lambda **facts: None,
) -> Paired:
    """Time two callables block by block in alternating order, after a warm-up.

    Each block runs one for about 20 ms and then the other, and gives one median for each; the speed-up is the median
    of the blocks' own ratios, so that what slows the machine for longer than a block slows both. Intervals are
    distribution-free at 95 %, and assume that blocks are independent.

    Parameters
    ----------
    first, second : callable
        The baseline, and what is compared with it.
    blocks : int
    report : callable
        Told the share done; may raise `Cancelled`.
    """
    repeats = [_warm_up(run) for run in (first, second)]
    wall, cpu = np.empty((2, blocks)), np.empty((2, blocks))
    for block in range(blocks):
        order = (0, 1) if block % 2 == 0 else (1, 0)
        for which in order:
            wall[which, block], cpu[which, block] = _time((first, second)[which], repeats[which])
        report(share=(block + 1) / blocks, message="Timing against the baseline")
    quartiles = np.percentile(wall[0], [25, 50, 75])
    return Paired(
        first=median_of(wall[0] * 1e3),
        second=median_of(wall[1] * 1e3),
        speedup=median_of(wall[0] / wall[1]),
        cpu_speedup=median_of(cpu[0] / cpu[1]),
        blocks=blocks,
        noise=float((quartiles[2] - quartiles[0]) / quartiles[1]),
    )


def _warm_up(run: Callable[[], object]) -> int:
    start, count = time.perf_counter(), 0
    while count < 2 or time.perf_counter() - start < WARMUP_SECONDS:
        run()
        count += 1
    each = (time.perf_counter() - start) / count
    return max(1, round(BLOCK_SECONDS / each))


def _time(run: Callable[[], object], repeats: int) -> tuple[float, float]:
    """The median wall seconds of one run, and the mean processor seconds."""
    walls = np.empty(repeats)
    cpu = time.process_time()
    for index in range(repeats):
        start = time.perf_counter()
        run()
        walls[index] = time.perf_counter() - start
    return float(np.median(walls)), (time.process_time() - cpu) / repeats
