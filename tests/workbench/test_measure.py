"""Measuring: every figure is that of the file that ships."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from workbench import Dataset, Prune, Quantize, WorkbenchError
from workbench.energy import modelled_energy
from workbench.macs import layer_macs
from workbench.measure import Setting, answers, measure, parity, theoretical_bytes
from workbench.models import MODELS
from workbench.runtimes import load_runtime
from workbench.steps.base import Context, Work

SETTING = Setting(load_runtime("onnxruntime"), "cpu", threads=1, batch=3)
IMAGE = np.zeros((1, 1, 28, 28), np.float32)


@pytest.fixture(scope="module")
def exported(digits, tmp_path_factory) -> Callable[[Work], Path]:
    """Exports a work as ONNX and returns the file."""

    def exported(work: Work) -> Path:
        inputs = digits.prepare(digits.calibration.inputs[:64])
        path = tmp_path_factory.mktemp("artifact") / "model.onnx"
        SETTING.runtime.export(work, inputs[:2], inputs, path)
        return path

    return exported


@pytest.fixture(scope="module")
def plain(exported, zoo_lenet5) -> Path:
    """LeNet-5 as it is."""
    return exported(Work(zoo_lenet5))


def test_every_figure_is_that_of_the_file(digits, lenet5, exported):
    work = Work(lenet5, quantization=Quantize())
    path = exported(work)
    shares: list[float] = []
    metrics, predicted = measure(path, work, digits, SETTING, report=lambda share, message: shares.append(share))

    session = SETTING.runtime.load(path)
    expected = session(digits.prepare(digits.validation.inputs)).argmax(1)
    assert np.array_equal(predicted, expected)
    assert metrics.accuracy.value == (expected == digits.validation.labels).mean()
    assert (metrics.split, metrics.samples) == ("validation", 500)
    assert metrics.size_bytes == len(path.read_bytes())
    assert (metrics.speedup, metrics.verdict) == (None, "not measured")
    assert 0 < metrics.latency.low <= metrics.latency.value
    assert (metrics.conditions.runtime, metrics.conditions.threads, metrics.conditions.batch) == ("onnxruntime", 1, 3)
    assert shares[-1] == 1.0
    assert metrics.simulated == metrics.unmeasured == []
    confusion = metrics.quality.confusion_matrix()
    assert (np.trace(confusion), confusion.sum()) == ((expected == digits.validation.labels).sum(), 500)
    assert metrics.calls.count >= metrics.conditions.blocks
    assert metrics.throughput.value == pytest.approx(3_000 / metrics.latency.value)
    assert metrics.process.peak_bytes > metrics.process.runtime_bytes > len(path.read_bytes())
    assert metrics.energy.millijoules > 0


@pytest.mark.parametrize(
    ("quantize", "floats"),
    [
        (None, ("conv1", "conv2", "fc1", "fc2")),
        (Quantize(), ()),
        (Quantize(mode="dynamic"), ("conv1", "conv2")),
        (Quantize(mode="weight-only"), ("conv1", "conv2", "fc1", "fc2")),
        (Quantize(layers={"conv2": 32}), ("conv2",)),
    ],
    ids=["plain", "static", "dynamic", "weight-only", "one layer in floats"],
)
def test_the_estimate_of_energy_goes_by_what_each_layer_of_the_file_computes_with(
    quantize, floats, digits, zoo_lenet5, exported, monkeypatch
):
    monkeypatch.setattr("workbench.measure.measured_energy", lambda *_: None)
    work = Work(copy.deepcopy(zoo_lenet5))
    if quantize:
        quantize.apply(work, Context(digits, zoo_lenet5, runtime=SETTING.runtime))
    path, macs = exported(work), layer_macs(zoo_lenet5, IMAGE)
    metrics, _ = measure(path, work, digits, replace(SETTING, seconds=0.0))
    wide = sum(macs[name] for name in floats)
    widths = {"float32": wide, "int8": sum(macs.values()) - wide}
    assert metrics.energy == modelled_energy(widths, path.stat().st_size)


def test_what_is_simulated_has_neither_latency_nor_cold_start_nor_energy(digits, zoo_lenet5, plain):
    work = Work(zoo_lenet5, simulated=["No kernel computes with three bits."])
    metrics, _ = measure(plain, work, digits, SETTING, baseline=plain)
    assert (metrics.latency, metrics.speedup, metrics.calls, metrics.throughput) == (None,) * 4
    assert (metrics.process, metrics.energy, metrics.conditions) == (None,) * 3
    assert metrics.verdict == "simulated"
    assert metrics.quality.macro_f1 > 0.9


def test_an_artifact_that_no_fresh_process_can_run_is_measured_all_the_same(digits, zoo_lenet5, plain):
    class Misled(type(SETTING.runtime)):
        def snippet(self, filename: str) -> str:
            return "raise RuntimeError('the disk is gone')\n"

    metrics, _ = measure(plain, Work(zoo_lenet5), digits, Setting(Misled(), "cpu", threads=1, batch=1))
    assert metrics.latency and metrics.process is None
    assert metrics.unmeasured == [
        "Cold start and memory were not measured. "
        "A fresh process could not run model.onnx: RuntimeError: the disk is gone"
    ]


def test_on_another_device_it_is_said_that_a_fresh_process_was_not_measured(digits, zoo_lenet5, plain):
    class OnGpu(type(SETTING.runtime)):
        """Like a runtime on a GPU, but for the GPU."""

        def devices_here(self) -> tuple[str, ...]:
            return "cpu", "cuda"

        def load(self, path, threads=1, device="cpu"):
            assert device == "cuda"
            return super().load(path, threads, "cpu")

    metrics, _ = measure(plain, Work(zoo_lenet5), digits, Setting(OnGpu(), "cuda", threads=1, batch=1))
    assert metrics.latency and metrics.conditions.device == "cuda" and metrics.process is None
    assert metrics.unmeasured == [
        "Cold start and memory were not measured: they are taken on processors, and this is 'cuda'."
    ]


def test_a_change_of_accuracy_is_tested_on_the_same_samples(digits, lenet5, exported, plain):
    work = Work(lenet5)
    Prune(ratio=0.7).apply(work, Context(digits, lenet5))
    before = digits.validation.labels.copy()
    before[:25] = (before[:25] + 1) % 10
    metrics, predicted = measure(exported(work), work, digits, SETTING, baseline=plain, baseline_answers=before)
    right, was_right = predicted == digits.validation.labels, before == digits.validation.labels
    assert metrics.fixed == (right & ~was_right).sum() > 0
    assert metrics.broken == (~right & was_right).sum() > 0
    # McNemar's exact test is a sign test on the samples that changed sides
    changed = metrics.fixed + metrics.broken
    assert metrics.score_p == pytest.approx(
        min(1, 2 * stats.binom.cdf(min(metrics.fixed, metrics.broken), changed, 0.5))
    )
    assert metrics.score_verdict == "worse"
    assert metrics.speedup.low <= metrics.speedup.value <= metrics.speedup.high
    assert metrics.verdict == "faster"
    assert metrics.baseline_latency.value > metrics.latency.value


def test_the_artifact_is_compared_with_its_module(digits, lenet5, plain):
    session = SETTING.runtime.load(plain)
    same = parity(session, lenet5, digits)
    assert same.samples == 256
    assert same.largest_difference < 1e-3
    assert same.same_answers == 1.0
    torch.manual_seed(0)
    other = parity(session, MODELS["lenet5"].build(1, 10), digits)
    assert other.largest_difference > 1
    assert other.same_answers < 0.5


@pytest.mark.parametrize(("quantize", "size"), [(None, 431_080 * 4), (Quantize(), 430_500 + 580 * 4)])
def test_the_theoretical_size_is_parameters_times_bits(lenet5, quantize, size):
    assert theoretical_bytes(Work(lenet5, quantization=quantize)) == size


def test_zeros_are_counted_and_make_no_file_smaller(digits, lenet5, exported, plain):
    work = Work(lenet5)
    Prune(ratio=0.9, granularity="weight").apply(work, Context(digits, lenet5))
    metrics, _ = measure(exported(work), work, digits, SETTING)
    assert metrics.parameters == 431_080
    assert metrics.nonzero_parameters == 431_080 - round(0.9 * 430_500)
    assert metrics.size_bytes == pytest.approx(plain.stat().st_size, rel=0.01)


def test_outputs_that_are_not_numbers_are_refused(digits, lenet5, exported):
    with torch.no_grad():
        lenet5.fc2.bias[3] = float("nan")
    with pytest.raises(WorkbenchError, match="outputs are NaN or infinite"):
        answers(SETTING.runtime.load(exported(Work(lenet5))), digits, "validation")


@pytest.mark.parametrize("module", [nn.Sequential(nn.Flatten(), nn.Linear(784, 9)), nn.Conv2d(1, 10, 28)])
def test_outputs_that_are_not_one_for_each_class_are_refused(digits, exported, module):
    with pytest.raises(WorkbenchError, match=r"output has shape \(.*\), but the dataset has 10 classes"):
        answers(SETTING.runtime.load(exported(Work(module))), digits, "validation")


def test_more_inputs_at_once_than_there_are_samples_are_timed_too(few_digits, zoo_lenet5, plain):
    tiny = Dataset(
        train=few_digits.train, validation=few_digits.validation.take(np.arange(3)), classes=few_digits.classes
    )
    wide = Setting(SETTING.runtime, "cpu", threads=1, batch=8)
    metrics, _ = measure(plain, Work(zoo_lenet5), tiny, wide)
    assert metrics.conditions.batch == 8
    assert metrics.latency.value > 0
