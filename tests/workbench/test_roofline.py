"""The roofline: peaks, bandwidths and overhead of this machine, and what bounds a layer."""

from datetime import date
from types import SimpleNamespace

import pytest

from workbench import roofline as module
from workbench.machine import Machine
from workbench.roofline import Roofline, measure_roofline, measured_again, roofline
from workbench.runtimes import load_runtime

ROOF = Roofline(
    runtime="onnxruntime",
    version="1",
    processor="p",
    threads=1,
    measured=date(2026, 1, 1),
    peaks={"float": 10e9, "integer": 40e9},
    bandwidths={1_000: 50e9, 1_000_000: 5e9},
    overhead=1e-6,
)


def test_limits_by_hand() -> None:
    assert ROOF.limits(20e9, 500) == {"compute": 2.0, "memory": 1e-8, "overhead": 1e-6}
    assert ROOF.limits(20e9, 500, integer=True)["compute"] == 0.5


def test_small_layers_stay_in_the_cache_and_large_ones_do_not() -> None:
    assert ROOF.limits(0, 1_000)["memory"] == 1_000 / 50e9
    assert ROOF.limits(0, 1_001)["memory"] == 1_001 / 5e9
    assert ROOF.limits(0, 10**9)["memory"] == 10**9 / 5e9


def test_weights_are_read_from_where_all_that_passes_until_the_next_call_fits() -> None:
    alone = ROOF.limits(0, 1_000, weights=800)
    assert alone == ROOF.limits(0, 1_000, weights=800, streamed=900) == ROOF.limits(0, 1_000)
    assert ROOF.limits(0, 1_000, weights=800, streamed=1_001)["memory"] == 800 / 5e9 + 200 / 50e9


def test_without_integer_kernels_integers_take_as_long_as_floats() -> None:
    assert ROOF.model_copy(update={"peaks": {"float": 1e9}}).limits(1e9, 0, integer=True)["compute"] == 1


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setattr(module.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    return tmp_path


def test_it_is_measured_once_and_kept(cache, monkeypatch) -> None:
    calls = []
    monkeypatch.setattr(module, "measure_roofline", lambda runtime, threads: calls.append(threads) or ROOF)
    runtime = load_runtime("onnxruntime")
    assert roofline(runtime, 1) == roofline(runtime, 1) == ROOF
    assert calls == [1]
    roofline(runtime, 2)  # other threads: another machine, so to speak
    roofline(runtime, 1, refresh=True)
    assert calls == [1, 2, 1]


BUSY = ROOF.model_copy(update={"disturbed": ["other programs took 60% of its processors"]})


def measured(monkeypatch, *found: Roofline) -> list[int]:
    """Measuring gives one of these after the other; the list counts how often it was done."""
    left, calls = iter(found), []
    monkeypatch.setattr(module, "measure_roofline", lambda runtime, threads: calls.append(1) or next(left))
    return calls


def test_one_of_a_busy_machine_is_measured_again_until_it_is_quiet(cache, monkeypatch) -> None:
    calls, runtime = measured(monkeypatch, BUSY, ROOF), load_runtime("onnxruntime")
    assert "while other programs took 60% of its processors)" in str(roofline(runtime))
    assert roofline(runtime) == roofline(runtime) == ROOF.model_copy(update={"times": 2})
    assert len(calls) == 2


def test_on_a_machine_that_is_always_busy_it_is_not_measured_for_ever(cache, monkeypatch) -> None:
    calls, runtime = measured(monkeypatch, *[BUSY] * 9), load_runtime("onnxruntime")
    assert [roofline(runtime).times for _ in range(5)] == [1, 2, 3, 3, 3]
    assert len(calls) == 3 and roofline(runtime).disturbed == BUSY.disturbed
    roofline(runtime, refresh=True)
    assert len(calls) == 4


def test_of_several_measurements_the_best_figures_count(cache, monkeypatch) -> None:
    slow = ROOF.model_copy(update={"peaks": {"float": 5e9, "integer": 50e9}, "overhead": 5e-6})
    measured(monkeypatch, slow)
    again = measured_again(ROOF, load_runtime("onnxruntime"))
    assert again.peaks == {"float": 10e9, "integer": 50e9}
    assert again.overhead == 1e-6 and again.bandwidths == ROOF.bandwidths
    assert roofline(load_runtime("onnxruntime")) == again  # and it is kept


def test_a_damaged_memory_of_it_is_measured_again(cache, monkeypatch) -> None:
    monkeypatch.setattr(module, "measure_roofline", lambda runtime, threads: ROOF)
    roofline(load_runtime("onnxruntime"))
    next(cache.rglob("*.json")).write_text("{")
    assert roofline(load_runtime("onnxruntime")) == ROOF


def test_a_home_that_can_not_be_written_is_no_obstacle(cache, monkeypatch) -> None:
    monkeypatch.setattr(module, "measure_roofline", lambda runtime, threads: ROOF)
    (cache / "compression-workbench").write_text("a file where the folder should be")
    assert roofline(load_runtime("onnxruntime")) == ROOF


def test_it_is_measured_for_real(monkeypatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.02)
    found = measure_roofline(load_runtime("torch"))
    assert set(found.peaks) == {"float"}
    assert len(found.bandwidths) == 3 and all(rate > 1e8 for rate in found.bandwidths.values())
    assert found.peaks["float"] > 1e8
    assert 0 < found.overhead < 0.1
    assert "billion float MACs/s" in str(found)


def test_what_else_the_machine_did_is_kept_with_it(monkeypatch) -> None:
    busy = SimpleNamespace(seen=lambda: Machine(others=0.6))
    monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(module, "Watch", lambda: busy)
    assert measure_roofline(load_runtime("torch")).disturbed == BUSY.disturbed
