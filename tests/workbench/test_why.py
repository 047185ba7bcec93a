"""Why isn't it faster: each cause on a model that was built to have it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Dataset, Distill, Prune, Quantize, Recipe, Study, WorkbenchError
from workbench import roofline as roofline_module
from workbench.causes import RULES, Case
from workbench.causes.arithmetic import conversions, floats_left, simulated
from workbench.causes.limits import small_layers
from workbench.causes.timed import odd_channels, zeros_run_dense
from workbench.profiling import Operation, without_profiler
from workbench.runtimes import RUNTIMES
from workbench.why import Why, examine, promise, why


class Fold(nn.Module):
    """An operation for which no runtime has an integer kernel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.abs(x)


MODELS = {
    "zeros": lambda: nn.Sequential(nn.Linear(784, 1536), nn.ReLU(), nn.Linear(1536, 10)),
    "odd": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 33, 3, padding=1), nn.ReLU(), nn.Conv2d(33, 33, 3, padding=1),
        nn.ReLU(), nn.AvgPool2d(28), nn.Flatten(), nn.Linear(33, 10),
    ),
    "tiny": lambda: nn.Sequential(
        nn.Linear(784, 8), *(nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(24)), nn.Linear(8, 10)
    ),
    "folds": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 8, 1), Fold(), nn.Conv2d(8, 8, 1), Fold(), nn.Conv2d(8, 8, 1),
        Fold(), nn.Flatten(), nn.Linear(8 * 784, 10),
    ),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    """The roofline is measured once for this file, and quickly."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roofline_module.platformdirs, "user_cache_path", lambda name: folder)
        patch.setattr(roofline_module, "SECONDS", 0.05)
        yield


@pytest.fixture(scope="module")
def rows(few_digits) -> Dataset:
    """Few digits, each one row of numbers."""
    parts = {
        name: (getattr(few_digits, name).inputs.reshape(-1, 784)[:200].astype(np.float32) / 255,
               getattr(few_digits, name).labels[:200])
        for name in ("train", "validation")
    }  # fmt: skip
    return Dataset(**parts, classes=few_digits.classes, name="rows")


@pytest.fixture(scope="module")
def built(rows, tmp_path_factory):
    def built(name: str) -> Study:
        torch.manual_seed(0)
        model = MODELS[name]()
        if name == "zeros":
            with torch.no_grad():
                model[0].weight[torch.rand(model[0].weight.shape) < 0.95] = 0
        return Study(model, rows, path=tmp_path_factory.mktemp("studies") / name)

    return built


@pytest.fixture(scope="module")
def zeros(built) -> Why:
    return why(built("zeros").baseline)


@pytest.fixture(scope="module")
def tiny(built) -> Case:
    return examine(built("tiny").baseline)


def kinds(found: Why) -> list[str]:
    return [cause.kind for cause in found.causes]


def said(found: Why, kind: str) -> str:
    return next(cause.sentence for cause in found.causes if cause.kind == kind)


def test_zeros_that_run_dense(zeros) -> None:
    assert "zeros run dense" in kinds(zeros)
    assert said(zeros, "zeros run dense").startswith("95% of 0's weights are zero")


def test_the_layer_that_limits(zeros) -> None:
    case = zeros.case
    first = case.layers[0]
    assert case.share(first) > 0.9
    assert said(zeros, "slowest layers").startswith(
        f"{case.share(first):.0%} of the time is in 0, which is memory-bound"
    )
    assert f"{case.reached(first):.0%} of what this machine can do: " in said(zeros, "slowest layers")


def test_a_batch_so_small_that_the_weights_are_read_for_one_input(zeros) -> None:
    assert said(zeros, "small batch").startswith("A batch of 1 is small: in one of 8")


def test_many_small_layers(tiny) -> None:
    cause = small_layers(tiny)
    assert cause is not None and "are so small that starting one takes longer" in cause.sentence
    assert sum(tiny.bound(layer) == "overhead" for layer in tiny.layers) >= 24
    assert [rule(tiny) for rule in (zeros_run_dense, floats_left, simulated)] == [None] * 3


def test_odd_channels_by_timing_the_layer_at_the_next_multiple(built) -> None:
    case = examine(built("odd").baseline)
    cause = odd_channels(case)
    assert case.bound(case.by_time[0]) == "compute"
    assert cause is not None
    start = f"{case.share(case.by_time[0]):.0%} of the time is in 3, whose channels (33) waste part of each vector: "
    assert cause.sentence.startswith(start + "timed alone with 4")  # 40 or 48


def test_conversions_between_floats_and_integers(built) -> None:
    case = examine(built("folds").run(Recipe([Quantize()])))
    cause = conversions(case)
    turned = sum(o.milliseconds for o in case.operations if o.kind in ("QuantizeLinear", "DequantizeLinear"))
    assert cause is not None
    assert f"{turned / case.total:.0%} into turning floats into integers and back" in cause.sentence
    floats = conversions(examine(case.trial.study.baseline))
    assert floats is None or "turning" not in floats.sentence


@pytest.fixture(scope="module")
def slower(zeros) -> Why:
    """8-bit weights that ONNX Runtime turns into floats at each run: far slower, on every machine so far."""
    return why(zeros.case.trial.study.run(Recipe([Quantize(mode="weight-only")])))


def test_integers_that_are_slower_than_floats_are_called_slower(slower) -> None:
    metrics = slower.case.trial.metrics
    assert metrics is not None and metrics.speedup is not None and metrics.verdict == "slower"
    figures = "({value:.2f}x [{low:.2f} to {high:.2f}])".format(**metrics.speedup.model_dump())
    assert slower.headline == f"Slower {figures}, not the 4.0x that its arithmetic (operations x bits) might promise."


def test_floats_that_are_left_are_why(slower) -> None:
    share = slower.case.share(*slower.case.layers)
    assert said(slower, "floats left") == (
        f"{share:.0%} of the time is still arithmetic with floats: 0, 2 (fewer bits are only stored, and turned into "
        "floats at each run)."
    )


def test_what_is_simulated_claims_no_speed(zeros) -> None:
    trial = zeros.case.trial
    assert simulated(zeros.case) is None
    assert trial.metrics is not None
    claimed = trial.metrics
    trial.metrics = claimed.model_copy(update={"simulated": ["No kernel multiplies three bits."]})
    try:
        cause = simulated(zeros.case)
    finally:
        trial.metrics = claimed
    assert cause is not None and "No kernel multiplies three bits." in cause.sentence


def test_the_promise_counts_operations_bits_and_zeros(zeros) -> None:
    whole = zeros.case.layers[-1]
    half = replace(whole, macs=whole.macs // 2)
    assert promise([whole], [whole]) == 1
    assert promise([whole], [half]) == pytest.approx(2)
    assert promise([whole], [replace(whole, bits=8)]) == pytest.approx(4)
    assert promise([whole], [replace(half, bits=8, zeros=0.75)]) == pytest.approx(32)


def test_the_baseline_is_told_where_its_time_goes(zeros) -> None:
    assert zeros.headline.startswith("This is the baseline")
    assert {row["layer"] for row in zeros.table()} == {"0", "2"}


def test_causes_come_with_the_largest_first(zeros) -> None:
    shares = [cause.share for cause in zeros.causes]
    assert shares == sorted(shares, reverse=True)
    assert zeros.sentences()[-1].startswith("This machine at best:")
    assert repr(zeros) == "\n".join(zeros.sentences())


def test_shares_of_the_layers_are_of_the_whole(zeros) -> None:
    case = zeros.case
    assert 0 < sum(map(case.share, case.layers)) <= 1.001
    assert [row["of the best"] for row in zeros.table()] == [f"{case.reached(layer):.0%}" for layer in case.layers]


def test_where_a_layer_is_faster_than_the_roofline_that_is_measured_again(zeros, monkeypatch) -> None:
    low = zeros.case.roof.model_copy(update={"peaks": {"float": 1e3}, "times": 1})  # each layer is faster
    calls = []
    monkeypatch.setattr("workbench.why.roofline", lambda *_: low)
    monkeypatch.setattr(roofline_module, "measure_roofline", lambda *_: calls.append(1) or zeros.case.roof)
    assert examine(zeros.case.trial).roof.peaks == zeros.case.roof.peaks
    assert calls == [1]


def test_what_the_profiler_takes_is_taken_off_alike() -> None:
    operations = [Operation("a", "Conv", "a", 5.0), Operation("b", "Relu", None, 2.0)]
    assert [o.milliseconds for o in without_profiler(operations, 5.0)] == [4.0, 1.0]
    assert without_profiler(operations, 9.0) == operations
    assert min(o.milliseconds for o in without_profiler(operations, 0.0)) > 0


def test_a_rule_that_finds_nothing_says_nothing(zeros) -> None:
    empty = Case(zeros.case.trial, [], [Operation("a", "Relu", None, 1.0)], zeros.case.roof)
    timed = {"small_batch", "simulated"}  # they look at the trial itself
    assert [rule(empty) for rule in RULES if rule.__name__ not in timed] == [None] * (len(RULES) - 2)


def test_a_failed_trial_has_no_answer(tiny) -> None:
    failed = tiny.trial.study.run(Recipe([Distill(teacher="resnet20")]))  # which takes images
    with pytest.raises(WorkbenchError, match="has no artifact"):
        failed.why()


def test_a_layer_bound_by_memory_and_one_bound_by_arithmetic(zeros, built) -> None:
    case = zeros.case
    assert case.bound(case.layers[0]) == "memory"  # its weights are read for one input
    assert zeros.table()[0]["bound"] == "memory-bound"
    odd = examine(built("odd").baseline)
    assert odd.bound(odd.by_time[0]) == "compute"


@pytest.mark.parametrize("runtime", [RUNTIMES["openvino"], RUNTIMES["sparse"]], ids=["openvino", "sparse"])
def test_other_runtimes_tell_each_layers_time_too(runtime, few_digits, tmp_path) -> None:
    study = Study("lenet5", few_digits, runtime=runtime.name, path=tmp_path / "study")
    found = why(study.run(Recipe([Quantize()] if runtime.kernels else [Prune(ratio=0.5)])))
    assert [row["layer"] for row in found.table()] == ["conv1", "conv2", "fc1", "fc2"]
    assert all(layer.integer == bool(runtime.kernels) for layer in found.case.layers)
    assert sum(map(found.case.share, found.case.by_time)) <= 1.001
