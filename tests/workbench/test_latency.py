"""Paired timing: what is the same is called the same, what does more is called slower, and it ends when it is sure."""

import functools
import time
from collections.abc import Callable

import numpy as np
import pytest

from workbench import Cancelled
from workbench.estimates import Estimate
from workbench.latency import (
    BUSY,
    HELD,
    LEAST_BLOCKS,
    LOADED,
    LOADS,
    loads_of,
    paired,
    processor_clock,
    summary,
    unsure,
    wall_clock,
)
from workbench.machine import Machine, Watch
from workbench.metrics import speed_verdict

SECONDS = 0.4


def _work(times: int) -> Callable[[], None]:
    matrix = np.random.default_rng(0).random((60, 60))

    def run() -> None:
        for _ in range(times):
            matrix @ matrix

    return run


class Simulated:
    """A clock that gives what it is told to, so that no real machine disturbs the statistics."""

    def __init__(self, latencies: dict[str, float], noise: float, seed: int = 0):
        self._latencies, self._noise, self._random = latencies, noise, np.random.default_rng(seed)

    def __call__(self, run: Callable[[], str]) -> float:
        return self._latencies[run()] * float(np.exp(self._noise * self._random.normal()))


def _simulated(second: float, noise: float, **wanted):
    clock = Simulated({"first": 1.0, "second": second}, noise)
    return paired(lambda: "first", lambda: "second", clock=clock, **({"seconds": SECONDS} | wanted))


def test_a_callable_against_itself_shows_no_measurable_change():
    run = _work(20)
    verdicts = [speed_verdict(paired(run, run, seconds=SECONDS).speedup) for _ in range(10)]
    assert verdicts.count("no measurable change") >= 8


@pytest.mark.parametrize(("first", "second", "verdict", "ratio"), [(20, 60, "slower", 1 / 3), (60, 20, "faster", 3.0)])
def test_more_work_is_slower_and_less_of_it_is_faster(first, second, verdict, ratio):
    timing = paired(_work(first), _work(second), seconds=SECONDS)
    assert speed_verdict(timing.speedup) == verdict
    assert timing.speedup.low / 1.3 <= ratio <= timing.speedup.high * 1.3
    assert timing.cpu_speedup.low / 1.3 <= ratio <= timing.cpu_speedup.high * 1.3


@pytest.mark.parametrize(("second", "verdict"), [(1.0, "no measurable change"), (1.05, "slower"), (0.95, "faster")])
def test_five_percent_are_seen_where_the_clock_is_steady(second, verdict, monkeypatch):
    _others_take(monkeypatch, 0.0)
    assert speed_verdict(_simulated(second, noise=0.01).speedup) == verdict


def test_the_figures_fit_each_other():
    timing = paired(_work(10), _work(10), seconds=SECONDS)
    assert timing.blocks >= LEAST_BLOCKS
    assert timing.noise >= 0 and timing.drift >= 0 and timing.cpu_share > 0
    for estimate in (timing.first, timing.second, timing.speedup, timing.cpu_speedup):
        assert 0 < estimate.low <= estimate.value <= estimate.high
    assert 0 < timing.calls.p50 <= timing.calls.p95 <= timing.calls.p99
    assert timing.calls.count >= timing.blocks


def _others_take(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    monkeypatch.setattr(Watch, "seen", lambda watch: Machine(others=share))


def test_it_ends_as_soon_as_the_interval_is_as_narrow_as_was_asked(monkeypatch):
    _others_take(monkeypatch, 0.0)
    shares: list[float] = []
    sure = _simulated(2.0, noise=0.001, precision=0.05, seconds=1e9, report=lambda share, message: shares.append(share))
    assert sure.precise and sure.speedup.half_width <= 0.05
    assert shares[-1] == 1.0


def test_it_ends_when_the_time_is_spent_however_wide_the_interval_is(monkeypatch):
    _others_take(monkeypatch, 0.0)
    spent = _simulated(2.0, noise=0.5, precision=0.0001)
    assert not spent.precise and spent.seconds >= SECONDS


def test_on_a_busy_machine_it_takes_all_its_time_as_drift_may_not_have_shown_yet(monkeypatch):
    _others_take(monkeypatch, 0.9)
    spent = _simulated(2.0, noise=0.001, precision=0.05)
    assert spent.precise and spent.seconds >= SECONDS


class Loads:
    """Files that run at another speed each time that they are loaded, by a clock that sees nothing else."""

    def __init__(self, spread: float, seed: int = 0):
        self._spread, self._random, self.count = spread, np.random.default_rng(seed), 0

    def __call__(self) -> tuple[Callable[[], float], Callable[[], float]]:
        self.count += 1
        speeds = [2.0, 1.0] * np.exp(self._spread / np.sqrt(2) * self._random.normal(size=2))
        return (lambda: speeds[0]), (lambda: speeds[1])

    def timed(self, **wanted):
        return paired(*self(), reload=self, clock=lambda run: run(), **({"seconds": SECONDS} | wanted))


def test_files_are_loaded_several_times_and_their_mean_is_told(monkeypatch):
    _others_take(monkeypatch, 0.0)
    loads = Loads(0.02)
    found = loads.timed(seconds=8.0)
    assert found.loads == loads.count == LOADS
    assert found.speedup.low <= 2.0 <= found.speedup.high
    assert found.load_spread == pytest.approx(0.02, rel=0.6)
    assert found.blocks >= LEAST_BLOCKS and found.drift < 0.01  # the loads' own speeds are no drift


def test_loaded_once_the_interval_allows_for_what_is_usual(monkeypatch):
    _others_take(monkeypatch, 0.0)
    found = Loads(0.0).timed(loads=1)
    assert found.loads == 1 and found.load_spread == pytest.approx(LOADED)
    assert found.speedup.half_width == pytest.approx(2.78 * LOADED, rel=0.05)  # t of four degrees of freedom


@pytest.mark.parametrize("loads", [1, 3, 4, LOADS])
@pytest.mark.parametrize("usual", [0.5, 1.0])
def test_latencies_and_speed_ups_are_held_as_often_as_is_said_though_loads_differ(loads, usual):
    random, blocks = np.random.default_rng(0), 80
    held, runs = np.zeros(3), 150
    for _ in range(runs):
        own = usual * LOADED / np.sqrt(2) * random.normal(size=(2, loads))[:, np.arange(blocks) % loads]
        seconds = np.exp(own[:, :, None] + 0.01 * random.normal(size=(2, blocks, 3))) * [[[2e-3]], [[1e-3]]]
        found = summary([list(one) for one in seconds], seconds.mean(2), loads, 1.0, True, Machine())
        figures = zip((found.first, found.second, found.speedup), (2.0, 1.0, 2.0), strict=True)
        held += [figure.low <= truth <= figure.high for figure, truth in figures]
    assert (held >= 0.93 * runs).all(), held / runs


def test_on_a_busy_machine_latencies_are_as_unsure_as_the_speed_up(monkeypatch):
    _others_take(monkeypatch, 1.0)
    found = _simulated(2.0, noise=0.001)
    for figure in (found.first, found.second, found.speedup):
        assert figure.half_width > 1.96 * BUSY


def test_no_more_than_a_quarter_of_the_time_goes_into_loading(monkeypatch):
    _others_take(monkeypatch, 0.0)
    loads = Loads(0.0)

    def slowly():
        time.sleep(SECONDS / 3)
        return loads()

    found = paired(*loads(), reload=slowly, seconds=SECONDS, clock=lambda run: run())
    assert found.loads == 2


def test_large_files_are_loaded_less_often():
    assert loads_of(100_000) == LOADS and loads_of(HELD // 3) == 3 and loads_of(10 * HELD) == 1


def test_on_a_busy_machine_the_interval_allows_for_what_the_next_measurement_will_say():
    found = Estimate(value=2.0, low=1.9, high=2.1)
    quiet = unsure(found, Machine(others=0.1))
    assert quiet == unsure(found, Machine())
    half, all_of_it = (unsure(found, Machine(others=share)) for share in (0.5, 1.0))
    assert all_of_it.low < half.low < quiet.low and quiet.high < half.high < all_of_it.high
    assert quiet.half_width == pytest.approx(found.half_width)
    assert all_of_it.value == 2.0 and speed_verdict(all_of_it) == "faster"
    assert all_of_it.half_width == pytest.approx(np.hypot(0.05, 1.96 * BUSY), abs=0.02)


@pytest.mark.parametrize("change", [0.5, 0.0])
def test_a_reference_that_slows_down_is_noticed_though_the_ratio_stays(change, monkeypatch):
    _others_take(monkeypatch, 0.0)
    count = 0

    def clock(run: Callable[[], None]) -> float:
        nonlocal count
        count += 1
        return 1.0 if count <= LEAST_BLOCKS else 1.0 + change

    wait = functools.partial(time.sleep, 0.02)  # so long that a block is one call
    timing = paired(wait, wait, clock=clock, seconds=0.0)
    assert timing.blocks == LEAST_BLOCKS
    assert timing.machine.slowed == pytest.approx(change)
    assert timing.speedup.value == pytest.approx(1.0)


def test_what_is_slow_is_still_run_twelve_times():
    timing = paired(_work(1), _work(1), seconds=0.0)
    assert timing.blocks == LEAST_BLOCKS
    assert timing.speedup.low <= timing.speedup.value <= timing.speedup.high


def test_single_calls_are_told_by_their_percentiles():
    timing = _simulated(0.25, noise=0.0)
    assert (timing.calls.p50, timing.calls.p99) == (250.0, 250.0)
    assert timing.second.value == pytest.approx(250.0)
    assert timing.speedup.value == pytest.approx(4.0)


def test_both_run_in_alternating_order():
    order: list[str] = []

    def note(name: str):
        run = _work(20)

        def noted() -> None:
            run()
            if not order or order[-1] != name:
                order.append(name)

        return noted

    paired(note("first"), note("second"), seconds=0.0)
    # the warm-ups, then: first second, second first, first second, second first
    assert order[:7] == ["first", "second", "first", "second", "first", "second", "first"]


def test_it_tells_how_far_it_is_and_can_be_stopped():
    shares: list[float] = []

    def report(share: float, message: str) -> None:
        shares.append(share)
        if len(shares) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        paired(_work(5), _work(5), seconds=60.0, report=report)
    assert shares == sorted(shares) and 0 < shares[0] < shares[-1] < 1


def test_the_last_it_tells_is_that_it_is_done():
    shares: list[float] = []
    paired(_work(5), _work(5), seconds=SECONDS, report=lambda share, message: shares.append(share))
    assert shares[-1] == 1.0


def test_processor_time_knows_nothing_of_waiting():
    assert processor_clock(lambda: time.sleep(0.2)) < 0.1 < wall_clock(lambda: time.sleep(0.2))
