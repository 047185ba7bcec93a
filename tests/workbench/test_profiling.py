"""Where the time goes: each operation by the runtime's own profiler, under the name of the module's layer."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Quantize, WorkbenchError
from workbench.crossover import Crossover
from workbench.estimates import Estimate
from workbench.profiling import WARMUP, Operation, medians
from workbench.runtimes import RUNTIMES, Runtime, load_runtime
from workbench.steps.base import Work

LAYERS = ["conv1", "conv2", "fc1", "fc2"]
ONNX = load_runtime("onnxruntime")
KINDS = [
    pytest.param("torch", None, id="torch"),
    pytest.param("onnxruntime", None, id="float"),
    *(pytest.param("onnxruntime", Quantize(mode=m), id=m) for m in ("static", "dynamic", "weight-only")),
    pytest.param("sparse", None, id="sparse"),
]
OPENVINO = load_runtime("openvino")
needs_openvino = pytest.mark.skipif(OPENVINO.version() is None, reason="OpenVINO is not installed")
ON_OPENVINO = [
    pytest.param("openvino", None, id="openvino", marks=needs_openvino),
    *(
        pytest.param("openvino", Quantize(mode=m), id=f"openvino {m}", marks=needs_openvino)
        for m in ("static", "weight-only")
    ),
]


class Encoder(nn.Module):
    """Attention and matrix products over three dimensions, whose exporters rename weights."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(16, 24), nn.Linear(24, 16, bias=False)
        self.query, self.key, self.head = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.down(torch.relu(self.up(x)))
        x = torch.softmax(self.query(x) @ self.key(x).transpose(1, 2), -1) @ x
        return self.head(x.mean(1))


@pytest.fixture(scope="module")
def inputs(digits) -> np.ndarray:
    return digits.prepare(digits.calibration.inputs[:64])


@pytest.fixture(scope="module")
def artifact(zoo_lenet5, inputs, tmp_path_factory):
    made: dict = {}

    def artifact(runtime: Runtime, quantize: Quantize | None) -> Path:
        key = runtime.name, str(quantize)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("artifact") / f"model{runtime.suffix}"
            runtime.export(Work(copy.deepcopy(zoo_lenet5), quantization=quantize), inputs[:2], inputs, made[key])
        return made[key]

    return artifact


@pytest.mark.parametrize(("name", "quantize"), [*KINDS, *ON_OPENVINO])
def test_every_layer_is_found_with_its_time(artifact, inputs, name, quantize) -> None:
    runtime = RUNTIMES[name]
    operations = runtime.profile(artifact(runtime, quantize), inputs[:1], runs=5)
    assert [o.layer for o in operations if o.layer] == LAYERS
    assert all(o.milliseconds > 0 for o in operations)


@pytest.mark.parametrize(("name", "quantize"), KINDS)
def test_a_layers_result_is_shown_as_the_artifact_computes_it(artifact, inputs, zoo_lenet5, name, quantize) -> None:
    runtime = RUNTIMES[name]
    shown = runtime.activations(artifact(runtime, quantize), inputs[:8])
    with torch.inference_mode():
        first = torch.relu(zoo_lenet5.conv1(torch.from_numpy(inputs[:8]))).numpy()
    assert list(shown) == LAYERS
    assert shown["conv1"].shape == first.shape
    assert np.abs(shown["conv1"] - first).max() < (0.05 if quantize else 1e-4) * first.max()
    expected = runtime.load(artifact(runtime, quantize))(inputs[:8])
    assert np.allclose(shown["fc2"], expected, atol=1e-3 * np.abs(expected).max())


def test_quantized_layers_tell_their_bits_and_compute_with_integers(artifact, inputs) -> None:
    static, dynamic = (artifact(ONNX, Quantize(mode=mode)) for mode in ("static", "dynamic"))
    assert ONNX.weight_bits(static) == dict.fromkeys(LAYERS, 8)
    assert ONNX.weight_bits(dynamic) == {"conv1": 32, "conv2": 32, "fc1": 8, "fc2": 8}
    assert {o.layer for o in ONNX.profile(static, inputs[:1], runs=2) if o.integer} >= set(LAYERS)
    assert {o.layer for o in ONNX.profile(dynamic, inputs[:1], runs=2) if o.integer} == {"fc1", "fc2"}
    only = artifact(ONNX, Quantize(mode="weight-only"))
    assert not any(o.integer for o in ONNX.profile(only, inputs[:1], runs=2) if o.layer)


def test_four_bits_are_told_from_eight(zoo_lenet5, inputs, tmp_path) -> None:
    work = Work(copy.deepcopy(zoo_lenet5), quantization=Quantize(mode="weight-only", weight_bits=4))
    ONNX.export(work, inputs[:2], inputs, tmp_path / "model.onnx")
    assert ONNX.weight_bits(tmp_path / "model.onnx")["fc1"] == 4


def test_conversions_are_told_from_arithmetic(artifact, inputs) -> None:
    operations = ONNX.profile(artifact(ONNX, Quantize()), inputs[:1], runs=2)
    assert {o.kind for o in operations if o.converts} == {"QuantizeLinear"}  # its answers are floats already
    assert any(o.reorders for o in operations)
    assert not any(o.converts or o.reorders for o in operations if o.layer)


@pytest.mark.parametrize("name", ["onnxruntime", "torch", "sparse", pytest.param("openvino", marks=needs_openvino)])
def test_layers_over_three_dimensions_keep_their_names(tmp_path, name) -> None:
    runtime = load_runtime(name)
    torch.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((2, 5, 16), np.float32)
    runtime.export(Work(Encoder()), x, x, tmp_path / "encoder")
    found = {o.layer for o in runtime.profile(tmp_path / "encoder", x, runs=2) if o.layer}
    assert found == {"up", "down", "query", "key", "head"}
    assert {"up", "down", "query", "key", "head"} == set(runtime.activations(tmp_path / "encoder", x))


@needs_openvino
def test_openvino_tells_what_it_computes_with_integers(artifact, inputs) -> None:
    static = OPENVINO.profile(artifact(OPENVINO, Quantize()), inputs[:1], runs=2)
    assert {o.layer for o in static if o.integer} >= set(LAYERS)
    assert {o.kind for o in static if o.converts} == {"FakeQuantize"}
    assert any(o.reorders for o in static)
    only = OPENVINO.profile(artifact(OPENVINO, Quantize(mode="weight-only")), inputs[:1], runs=2)
    assert not any(o.integer for o in only)


def test_sparse_layers_are_timed_as_they_are_computed(zoo_lenet5, inputs, tmp_path, monkeypatch) -> None:
    runtime, faster = RUNTIMES["sparse"], Estimate(value=2.0, low=1.5, high=2.5)
    monkeypatch.setattr("workbench.crossover.crossover", lambda shape, *_: Crossover(shape, 1, 1, ((0.5, faster),)))
    module = copy.deepcopy(zoo_lenet5)
    for layer in (module.conv2, module.fc1):
        layer.weight.data[layer.weight.abs() < layer.weight.abs().quantile(0.9)] = 0
    runtime.export(Work(module), inputs[:2], inputs, tmp_path / "model.pt2")
    found = {o.layer: o.kind for o in runtime.profile(tmp_path / "model.pt2", inputs[:1], runs=5) if o.layer}
    assert found == {
        "conv1": "aten.conv2d", "conv2": "SparseConv", "fc1": "SparseLinear", "fc2": "aten.linear"
    }  # fmt: skip
    shown = runtime.activations(tmp_path / "model.pt2", inputs[:8])
    with torch.inference_mode():
        expected = module(torch.from_numpy(inputs[:8])).numpy()
    assert list(shown) == LAYERS
    assert np.allclose(shown["fc2"], expected, atol=1e-3 * np.abs(expected).max())


def test_the_median_leaves_out_the_first_runs() -> None:
    slow = [("a", 900.0)] * WARMUP + [("a", 2.0), ("a", 1.0), ("a", 3.0)]
    assert medians([*slow, ("b", 7.0)]) == {"a": 2.0, "b": 7.0}


def test_a_runtime_that_can_not_tell_says_so(artifact, inputs) -> None:
    class Silent(type(ONNX)):  # type: ignore[misc]
        profile = Runtime.profile
        activations = Runtime.activations

    for ask in (Silent().profile, Silent().activations):
        with pytest.raises(WorkbenchError, match="does not"):
            ask(artifact(ONNX, None), inputs)


def test_an_operation_is_a_plain_fact() -> None:
    assert Operation("n", "Conv", "conv1", 1.0) == Operation("n", "Conv", "conv1", 1.0, integer=False)
