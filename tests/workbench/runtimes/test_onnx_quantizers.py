"""The integers in the file are those of the work's grids, after training too."""

import copy

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from workbench import Finetune, Quantize
from workbench.quantization.activations import rounded_inputs
from workbench.quantization.folding import fold
from workbench.runtimes import load_runtime
from workbench.runtimes.onnx_quantizers import _packed
from workbench.steps.base import Context, Work

ORT = load_runtime("onnxruntime")


@pytest.fixture(scope="module")
def trained(zoo_lenet5, few_digits):
    """LeNet-5 quantized, trained so, and exported: (work, session, initializers by name), once for each declaration."""
    kept: dict[Quantize, tuple] = {}

    def trained(folder, **knobs) -> tuple:
        step = Quantize(calibration_samples=64, **knobs)
        if str(step) not in kept:
            work = Work(copy.deepcopy(zoo_lenet5))
            context = Context(few_digits, zoo_lenet5, runtime=ORT)
            step.apply(work, context)
            for name, grid in work.grids.items():  # scales that no min-max would find again
                grid.scale.mul_(1.07)
                weight = work.module.get_parameter(name)
                weight.data.copy_(grid.nearest(weight.data))
            Finetune(learning_rate=1e-4).apply(work, context)
            path = folder / "model.onnx"
            inputs = few_digits.prepare(few_digits.calibration.inputs[:64])
            ORT.export(work, inputs[:2], inputs, path)
            arrays = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
            kept[str(step)] = work, ORT.load(path), arrays
        return kept[str(step)]

    return trained


@pytest.mark.parametrize(
    "knobs",
    [
        {"mode": "static"},
        {"mode": "static", "granularity": "tensor"},
        {"mode": "dynamic"},
        {"mode": "weight-only", "weight_bits": 4},
        {"mode": "weight-only", "weight_bits": 8},
        {"weight_bits": 3, "activation_bits": 4, "simulate": True},
    ],
    ids=["static", "per-tensor", "dynamic", "weight-only-4", "weight-only-8", "simulated"],
)
def test_the_file_agrees_with_the_fake_quantized_module(knobs, trained, few_digits, tmp_path):
    work, session, _ = trained(tmp_path, **knobs)
    inputs = few_digits.prepare(few_digits.validation.inputs)
    with rounded_inputs(work.module, work.activations), torch.no_grad():
        expected = work.module(torch.from_numpy(inputs)).numpy()
    got = session(inputs)
    off, largest = np.abs(got - expected), np.abs(expected).max()
    if knobs.get("simulate") or knobs.get("mode") == "weight-only":
        assert off.max() <= 1e-4 * largest
    assert np.quantile(off, 0.95) <= 0.02 * largest  # kernels also round the answers, and clip the largest
    assert (got.argmax(1) == expected.argmax(1)).mean() >= 0.99


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_codes_and_scales_in_the_file_are_those_of_the_grids(mode, trained, tmp_path):
    work, _, arrays = trained(tmp_path, mode=mode)
    for name, grid in work.grids.items():
        stored, codes = arrays[f"{name}_quantized"], grid.codes(work.module.get_parameter(name)).numpy()
        assert np.array_equal(stored.T if stored.shape != codes.shape else stored, codes)
        assert np.array_equal(arrays[f"{name}_scale"], grid.scale.numpy())


def test_what_flows_in_has_the_learned_scale(trained, tmp_path):
    work, _, arrays = trained(tmp_path, mode="static")
    stored = {float(array) for name, array in arrays.items() if name.endswith("_scale") and array.ndim == 0}
    assert {float(grid.scale) for grid in work.activations.values()} <= stored


def test_blocks_in_the_file_are_those_of_the_grids(trained, tmp_path):
    work, _, arrays = trained(tmp_path, mode="weight-only", weight_bits=4)
    for name, grid in work.grids.items():
        assert np.array_equal(arrays[f"{name}_scales"].reshape(grid.scale.shape), grid.scale.numpy())
        low = arrays[f"{name}_Q4"].reshape(len(grid.scale), -1) & 15
        codes = grid.codes(work.module.get_parameter(name)).numpy()
        assert np.array_equal(low.astype(int)[:, : codes[:, ::2].shape[1]] - 8, codes[:, ::2])


@pytest.mark.parametrize("bits", [4, 8])
def test_codes_are_packed_and_padded_with_zeros(bits):
    codes = np.array([[-8, 7, 1, 0, -1]])
    packed = _packed(codes, bits)
    assert packed.shape == (1, 1, 16 if bits == 4 else 32)
    values = np.stack([packed & 15, packed >> 4], -1).reshape(-1) if bits == 4 else packed.reshape(-1)
    assert (values.astype(int) - 2 ** (bits - 1)).tolist() == [-8, 7, 1, 0, -1, *[0] * 27]


def test_batch_norms_that_moved_in_training_are_folded_into_codes_and_scales(tmp_path):
    from workbench.models.resnet_module import Block

    torch.manual_seed(0)
    module = torch.nn.Sequential(Block(1, 4, 1), torch.nn.Flatten(), torch.nn.Linear(4 * 36, 3)).eval()
    fold(module)
    from workbench.quantization.grids import weight_grid

    grids = {}
    for name, weight in module.named_parameters():
        if weight.ndim > 1:
            grids[name] = weight_grid(weight, 8)
            weight.data.copy_(grids[name].nearest(weight.data))
    module[0].bn1.weight.data.mul_(1.3)
    module[0].bn2.running_var.mul_(0.8)
    work = Work(module, quantization=Quantize(), grids=grids)
    inputs = np.random.default_rng(0).random((32, 1, 6, 6), np.float32)
    ORT.export(work, inputs[:2], inputs, tmp_path / "model.onnx")
    arrays = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "model.onnx").graph.initializer}
    name = "0.conv1.weight"
    assert np.array_equal(arrays[f"{name}_quantized"], grids[name].codes(module.get_parameter(name)).numpy())
    assert np.allclose(arrays[f"{name}_scale"], grids[name].scale.numpy() * 1.3, rtol=1e-4)


def test_of_a_transformer_what_flows_into_its_layers_is_rounded_and_nothing_else(tmp_path):
    torch.manual_seed(0)
    module = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True, activation="gelu").eval()
    inputs = np.random.default_rng(0).standard_normal((64, 6, 32), np.float32)
    ORT.export(Work(module, quantization=Quantize()), inputs[:2], inputs, tmp_path / "model.onnx")
    graph = onnx.load(tmp_path / "model.onnx").graph
    makers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name for tensor in graph.initializer}

    def integers(name: str) -> bool:
        return name in makers and makers[name].op_type == "DequantizeLinear"

    products = [node for node in graph.node if node.op_type in ("MatMul", "Gemm")]
    layers = [node for node in products if integers(node.input[1]) and makers[node.input[1]].input[0] in constants]
    assert len(layers) == 4 and all(integers(node.input[0]) for node in layers)  # into and out of attention, and two
    assert len(products) == 6  # attention's own two multiply floats
    assert not any(integers(name) for node in graph.node if node not in layers for name in node.input[:2])
    expected = module(torch.from_numpy(inputs)).detach().numpy()
    got = ORT.load(tmp_path / "model.onnx")(inputs)
    assert np.abs(got - expected).max() < 0.05 * np.abs(expected).max()
