"""Paired timing: what is the same is called the same, what does more is called slower."""

import numpy as np
import pytest

from workbench import Cancelled, Metrics
from workbench.latency import Paired, paired

BLOCKS = 11


def _work(times: int):
    matrix = np.random.default_rng(0).random((60, 60))

    def run() -> None:
        for _ in range(times):
            matrix @ matrix

    return run


def _verdict(timing: Paired) -> str:
    return Metrics.model_construct(speedup=timing.speedup).verdict


def test_a_callable_against_itself_shows_no_measurable_change():
    run = _work(20)
    verdicts = [_verdict(paired(run, run, BLOCKS)) for _ in range(10)]
    assert verdicts.count("no measurable change") >= 8


@pytest.mark.parametrize(("first", "second", "verdict", "ratio"), [(20, 40, "slower", 0.5), (40, 20, "faster", 2.0)])
def test_twice_the_work_is_slower_and_half_of_it_is_faster(first, second, verdict, ratio):
    timing = paired(_work(first), _work(second), BLOCKS)
    assert _verdict(timing) == verdict
    assert timing.speedup.low / 1.3 <= ratio <= timing.speedup.high * 1.3
    assert timing.cpu_speedup.low / 1.3 <= ratio <= timing.cpu_speedup.high * 1.3


def test_the_figures_fit_each_other():
    timing = paired(_work(10), _work(10), BLOCKS)
    assert timing.blocks == BLOCKS
    assert timing.noise >= 0
    for estimate in (timing.first, timing.second, timing.speedup, timing.cpu_speedup):
        assert 0 < estimate.low <= estimate.value <= estimate.high


def test_both_run_in_alternating_order():
    order: list[str] = []

    def note(name: str):
        run = _work(20)

        def noted() -> None:
            run()
            if not order or order[-1] != name:
                order.append(name)

        return noted

    paired(note("first"), note("second"), blocks=4)
    # the warm-ups, then: first second, second first, first second, second first
    assert order == ["first", "second", "first", "second", "first", "second", "first"]


def test_it_tells_how_far_it_is_and_can_be_stopped():
    shares: list[float] = []

    def report(share: float, message: str) -> None:
        shares.append(share)
        if share >= 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        paired(_work(5), _work(5), blocks=4, report=report)
    assert shares == [0.25, 0.5]
