"""Where the time goes, set against a roofline whose figures are known, so that every sentence is known too."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import pytest

from workbench.causes.base import Case
from workbench.causes.limits import above_roofline, bounds, less_efficient, poor_kernels, slowest_layers, small_layers
from workbench.layers import Layer
from workbench.profiling import Operation
from workbench.roofline import Roofline

KB, MB = 1_000, 1_000_000
ROOF = Roofline(
    runtime="onnxruntime",
    version="1",
    processor="p",
    threads=1,
    measured=date(2026, 1, 1),
    peaks={"float": 1e9},
    bandwidths={100 * KB: 50e9, 8 * MB: 20e9, 100 * MB: 2e9},
    overhead=1e-6,
)
TRIAL = SimpleNamespace(study=SimpleNamespace(batch=1))


def layer(name: str, milliseconds: float, macs: int = 1, weight: tuple[int, ...] = (1, 1)) -> Layer:
    """One that reads weights of this shape and hardly anything else."""
    return Layer(name, "Linear", weight, (1,), (1,), weight[0], None, 0.0, 32, macs, milliseconds)


def case(*layers: Layer, between: tuple[float, ...] = (), before: Case | None = None) -> Case:
    timed = [Operation(layer.name, "MatMul", layer.name, layer.milliseconds or 0.0) for layer in layers]
    others = [Operation(f"relu{index}", "Relu", None, each) for index, each in enumerate(between)]
    return Case(TRIAL, list(layers), timed + others, ROOF, before)


def told(cause) -> str:
    assert cause is not None
    return cause.sentence


COMPUTE = layer("conv1", 6.0, macs=3 * MB)  # 3 ms at least
MEMORY = layer("fc1", 3.0, weight=(1_000, 1_000))  # 4 MB take 0.2 ms at least
TINY = [layer(f"tiny{index}", 0.002) for index in range(4)]  # 1 microsecond at least


def test_the_layer_that_limits() -> None:
    assert told(slowest_layers(case(COMPUTE, between=(4.0,)))) == (
        "60% of the time is in conv1, which is compute-bound and runs at 50% of what this machine can do: without it "
        "the whole could be 2.5x faster at most."
    )
    assert told(slowest_layers(case(COMPUTE))).endswith("of what this machine can do: nothing else counts.")
    assert told(slowest_layers(case(replace(COMPUTE, macs=MB), between=(4.0,)))) == (
        "60% of the time is in conv1, whose kernel reaches only 17% of what this machine can do: without it the whole "
        "could be 2.5x faster at most."
    )


def test_layers_that_do_the_same_limit_together_though_none_of_them_does_alone() -> None:
    several = [replace(COMPUTE, name=f"conv{index}", milliseconds=0.5, macs=400 * KB) for index in range(8)]
    assert told(slowest_layers(case(*several, between=(6.0,)))) == (
        "40% of the time is in 8 layers alike (conv0, conv1, conv2 and 5 more), which are compute-bound and run at 80% "
        "of what this machine can do: without them the whole could be 1.7x faster at most."
    )
    assert slowest_layers(case(*several, between=(16.0,))) is None


def test_layers_of_one_shape_at_different_places_are_not_alike() -> None:
    small = replace(COMPUTE, name="later", given=(2,))
    assert [[each.name for each in group] for group in case(COMPUTE, small).alike] == [["conv1"], ["later"]]


def test_what_bounds_the_layers_is_told_by_their_share_of_the_time() -> None:
    second = replace(COMPUTE, name="conv2", given=(2,), macs=6 * MB)
    memory = replace(MEMORY, milliseconds=0.25)
    assert told(bounds(case(COMPUTE, second, replace(memory, milliseconds=0.8), between=(0.2,)))) == (
        "Of the time, 92% is in layers limited by arithmetic (compute-bound), at 75% of what this machine can do; 6% "
        "is in layers limited by moving numbers (memory-bound), at 25% of what this machine can do."
    )
    assert told(bounds(case(*TINY, between=(0.012,)))) == (
        "Of the time, 40% is in layers limited by starting them (overhead-bound), at 50% of what this machine can do."
    )
    assert bounds(case(COMPUTE)) is None  # told with the layer that limits


def test_what_is_far_from_every_bound_is_held_back_by_its_kernel() -> None:
    poor = replace(COMPUTE, name="slow", macs=600 * KB, given=(2,), milliseconds=4.0)
    found = case(COMPUTE, poor)
    assert told(poor_kernels(found)) == (
        "40% of the time is in layers whose kernel reaches only 15% of what this machine can do: slow."
    )
    assert "60% is in layers limited by arithmetic" in told(bounds(found))  # and so the poor one is not
    assert poor_kernels(case(COMPUTE, MEMORY)) is not None
    assert poor_kernels(case(COMPUTE, replace(MEMORY, milliseconds=0.25))) is None
    assert poor_kernels(case(poor)) is None  # told as the one that limits


def test_less_to_do_that_is_done_less_efficiently() -> None:
    before = case(replace(COMPUTE, milliseconds=4.0))  # at 75 %
    assert told(less_efficient(case(replace(COMPUTE, macs=1_500 * KB, milliseconds=4.0), before=before))) == (
        "Its layers are at 38% of what this machine can do, those of the baseline at 75%: of what could be gained, a "
        "factor of 2.0 is lost there."
    )
    assert less_efficient(case(replace(COMPUTE, macs=1_500 * KB, milliseconds=2.0), before=before)) is None
    assert less_efficient(before) is None


def test_a_layer_faster_than_the_roofline_says_so_instead_of_100_percent() -> None:
    fast = replace(COMPUTE, milliseconds=2.0)
    found = case(fast, between=(2.0,))
    assert found.reached(fast) == pytest.approx(1.5)
    assert "runs at 150% of what this machine can do" in told(slowest_layers(found))
    assert told(above_roofline(found)).startswith(
        "50% of the time is in layers that reach up to 150% of what this machine can do: that was measured too low"
    )
    assert above_roofline(case(replace(COMPUTE, milliseconds=2.9))) is None  # roofs are measured too
    assert above_roofline(case(fast, between=(98.0,))) is None


def test_many_small_operations() -> None:
    assert told(small_layers(case(*TINY, between=(0.001, 0.001)))) == (
        "6 of 6 operations are so small that starting one takes longer than its arithmetic, at least 1.0 microseconds "
        "each: 100% of the time."
    )
    assert small_layers(case(*TINY, between=(0.1,))) is None


def test_weights_that_fit_a_cache_alone_are_read_from_memory_where_all_together_do_not() -> None:
    assert case(MEMORY).limits(MEMORY)["memory"] == pytest.approx(4 * MB / 20e9, rel=0.01)
    eleven = [replace(MEMORY, name=f"fc{index}", macs=MB) for index in range(11)]  # 44 MB
    found = case(*eleven)
    assert found.streamed == pytest.approx(44 * MB, rel=0.01)
    assert found.limits(eleven[0])["memory"] == pytest.approx(4 * MB / 2e9, rel=0.01)
    assert found.bound(eleven[0]) == "memory"  # the same layer alone is bound by its arithmetic
    assert case(eleven[0]).bound(eleven[0]) == "compute"


def test_what_layers_hand_on_stays_in_the_cache_however_many_weights_there_are() -> None:
    passing = Layer("pool", "Conv2d", (1, 1), (1_000,), (1_000,), 1, None, 0.0, 32, 1, 1.0)
    weights = [replace(MEMORY, name=f"fc{index}") for index in range(11)]
    least = case(passing, *weights).limits(passing)["memory"]
    assert least == pytest.approx(8 * KB / 50e9 + 4 / 2e9, rel=1e-6)
