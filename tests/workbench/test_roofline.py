"""The roofline: peaks, bandwidths and overhead of this machine, and what bounds a layer."""

from datetime import date

import pytest

from workbench import roofline as module
from workbench.roofline import Roofline, measure_roofline, roofline
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


@pytest.mark.parametrize(("macs", "moved", "bound"), [(1e9, 1e3, "compute"), (1e3, 1e9, "memory"), (8, 8, "overhead")])
def test_what_takes_longest_is_the_bound(macs, moved, bound) -> None:
    assert ROOF.bound(macs, moved) == bound


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
