"""Quantize as a step: weights on their grids at once, activations observed, and the truth about what is simulated."""

import copy

import pytest
import torch
from torch import nn

from workbench import Quantize, WorkbenchError
from workbench.estimates import Estimate
from workbench.quantization.activations import rounded_inputs
from workbench.quantization.bias_correction import mean_outputs
from workbench.quantization.layer_times import LayerTimes, layer_times
from workbench.quantization.layers import weighted
from workbench.runtimes import load_runtime
from workbench.steps.base import Context, Work
from workbench.weights import weight_hash


@pytest.fixture
def quantized(context, lenet5):
    """Quantize LeNet-5, for ONNX Runtime."""

    def quantize(**knobs) -> Work:
        work = Work(copy.deepcopy(lenet5))
        Quantize(calibration_samples=64, **knobs).apply(
            work, Context(context.dataset, context.baseline, runtime=load_runtime("onnxruntime"))
        )
        return work

    return quantize


def on_grids(work: Work) -> bool:
    return all(grid.holds(work.module.get_parameter(name).detach()) for name, grid in work.grids.items())


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_every_weight_lies_on_its_grid(bits, granularity, quantized):
    work = quantized(weight_bits=bits, granularity=granularity, simulate=True)
    assert set(work.grids) == {f"{name}.weight" for name in weighted(work.module)}
    assert on_grids(work)
    real = load_runtime("onnxruntime").safe_bits(Quantize())  # 7 where sums of 8-bit products would overflow
    assert {grid.bits for grid in work.grids.values()} == {min(bits, real)}


def test_ternary_weights_have_three_values(quantized):
    work = quantized(weight_bits=2, ternary=True, simulate=True)
    assert on_grids(work)
    for name, grid in work.grids.items():
        assert grid.codes(work.module.get_parameter(name)).unique().tolist() == [-1, 0, 1]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_activations_have_their_bits_or_stay_floats(bits, quantized):
    work = quantized(activation_bits=bits, simulate=True)
    assert set(work.activations) == set(weighted(work.module))
    assert {grid.bits for grid in work.activations.values()} == {bits}
    assert quantized(activation_bits=32, simulate=True).activations == {}


@pytest.mark.parametrize("bits", [2, 8])
def test_dynamic_ranges_are_those_of_each_forward_pass(bits, quantized, digits):
    work = quantized(mode="dynamic", weight_bits=bits, activation_bits=bits, simulate=True)
    assert bool(work.simulated) == (bits == 2)
    assert "fc1" in work.activations and {grid.bits for grid in work.activations.values()} == {bits}
    seen: list[torch.Tensor] = []
    inputs = torch.from_numpy(digits.prepare(digits.test.inputs[:8]))
    with torch.no_grad(), rounded_inputs(work.module, work.activations):
        handle = work.module.fc1.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
        work.module(inputs), work.module(inputs * 1000)
        handle.remove()
    assert all(1 < len(values.unique()) <= 2**bits for values in seen)
    assert seen[1].max() > 100 * seen[0].max(), "a range found on calibration samples would have clipped it"


def test_what_runs_on_kernels_is_not_called_simulated(quantized):
    assert quantized().simulated == []
    assert quantized(simulate=True).simulated == [], "there is a kernel for it"
    assert quantized(mode="weight-only", weight_bits=4).simulated == []


def test_what_has_no_kernel_says_so(quantized):
    work = quantized(weight_bits=4, activation_bits=4, simulate=True)
    (sentence,) = work.simulated
    assert "4-bit weights and 4-bit activations" in sentence and "'onnxruntime' has no kernels" in sentence


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_weight_only_takes_the_linear_layers_in_blocks_with_kernels_or_without(quantized, bits, granularity):
    work = quantized(mode="weight-only", weight_bits=bits, granularity=granularity, simulate=True)
    assert bool(work.simulated) == (bits not in (4, 8))
    assert set(work.grids) == {"fc1.weight", "fc2.weight"} and on_grids(work)
    assert all(grid.block == 32 for grid in work.grids.values())
    assert work.activations == {}
    assert any("convolutions stay 32-bit floats" in note for note in work.notes)


def test_both_ends_and_single_layers_can_have_bits_of_their_own(quantized):
    work = quantized(weight_bits=3, keep_ends=True, layers={"conv2": 5}, activation_bits=4, simulate=True)
    assert [work.grids[f"{name}.weight"].bits for name in weighted(work.module)] == [8, 5, 3, 8]
    assert [work.activations[name].bits for name in weighted(work.module)] == [8, 4, 4, 8]
    assert "3/5/8-bit weights" in work.simulated[0]


def test_an_average_is_kept_to(quantized):
    work = quantized(average_bits=3.5, simulate=True)
    weights = {name: work.module.get_parameter(name) for name in work.grids}
    spent = sum(work.grids[name].bits * weight.numel() for name, weight in weights.items())
    assert spent <= 3.5 * sum(weight.numel() for weight in weights.values())
    assert len({grid.bits for grid in work.grids.values()}) > 1 and on_grids(work)
    assert any(note.startswith("Bits by layer: conv1 ") for note in work.notes)


def test_weight_only_mixes_the_widths_that_have_kernels_in_one_real_file(quantized, digits, tmp_path):
    work = quantized(mode="weight-only", average_bits=4.5)
    bits = {name.removesuffix(".weight"): grid.bits for name, grid in work.grids.items()}
    assert bits == {"fc1": 4, "fc2": 8} and work.simulated == [] and on_grids(work)
    runtime, inputs = load_runtime("onnxruntime"), digits.prepare(digits.test.inputs[:64])
    runtime.export(work, inputs[:2], inputs, tmp_path / "model.onnx")
    assert runtime.weight_bits(tmp_path / "model.onnx") == {"conv1": 32, "conv2": 32, **bits}
    with torch.no_grad():
        expected = work.module(torch.from_numpy(inputs)).numpy()
    assert abs(runtime.load(tmp_path / "model.onnx")(inputs) - expected).max() < 1e-3 * abs(expected).max()
    assert quantized(mode="weight-only", average_bits=4.5, simulate=True).simulated, "all widths are candidates then"


@pytest.mark.parametrize("knobs", [{"mode": "weight-only"}, {"simulate": True}], ids=["real", "simulated"])
def test_a_budget_in_bytes_is_kept_to_and_used(quantized, knobs):
    work = quantized(byte_budget=260_000, **knobs)
    taken = sum(
        work.module.get_parameter(name).numel() * grid.bits / 8 + 4 * grid.scale.numel()
        for name, grid in work.grids.items()
    )
    assert 200_000 < taken <= 260_000 and len({grid.bits for grid in work.grids.values()}) > 1
    with pytest.raises(WorkbenchError, match=r"No choice of bits keeps to 5,000 bytes\. Allow at least [\d,]+\."):
        quantized(byte_budget=5_000, **knobs)


def test_two_budgets_of_size_are_refused():
    with pytest.raises(WorkbenchError, match="two budgets for the same"):
        Quantize(average_bits=4, byte_budget=1000)


def test_a_layer_of_32_bits_stays_in_floats_in_the_file_too(quantized, digits, tmp_path):
    work = quantized(layers={"conv2": 32})
    assert set(work.grids) == {"conv1.weight", "fc1.weight", "fc2.weight"} and "conv2" not in work.activations
    assert work.simulated == []
    runtime, inputs = load_runtime("onnxruntime"), digits.prepare(digits.test.inputs[:8])
    runtime.export(work, inputs[:2], inputs, tmp_path / "model.onnx")
    assert runtime.weight_bits(tmp_path / "model.onnx") == {"conv1": 8, "conv2": 32, "fc1": 8, "fc2": 8}


@pytest.mark.parametrize(("instructions", "bits"), [((), 7), (("AVX512-VNNI",), 8)])
def test_where_sums_of_products_would_overflow_weights_take_seven_bits(quantized, monkeypatch, instructions, bits):
    monkeypatch.setattr("workbench.machine.int8_instructions", lambda: instructions)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    work = quantized()
    assert {grid.bits for grid in work.grids.values()} == {bits} and on_grids(work)
    assert any("Of 8 bits, the weights use 7" in note for note in work.notes) == (bits == 7)
    assert {grid.bits for grid in quantized(mode="weight-only").grids.values()} == {8}


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_an_integer_file_answers_as_its_fake_quantized_module(mode, quantized, digits, tmp_path):
    work, inputs = quantized(mode=mode), digits.prepare(digits.test.inputs[:64])
    runtime = load_runtime("onnxruntime")
    runtime.export(work, inputs[:2], inputs, tmp_path / "model.onnx")
    with torch.no_grad(), rounded_inputs(work.module, work.activations):
        expected = work.module(torch.from_numpy(inputs)).numpy()
    assert abs(runtime.load(tmp_path / "model.onnx")(inputs) - expected).mean() < 0.02 * abs(expected).mean()


def test_where_every_layer_stays_in_floats_nothing_is_quantized(quantized, lenet5):
    work = quantized(layers=dict.fromkeys(weighted(lenet5), 32))
    assert work.quantization is None and work.grids == work.activations == {}
    assert weight_hash(work.module) == weight_hash(lenet5)
    assert work.notes == ["Every layer stays in floats, so that nothing is quantized."]


def _timed(monkeypatch: pytest.MonkeyPatch, *shares: float) -> list[set[str]]:
    """Every layer takes 1 ms in integers and 2 in floats; the files then take these shares, one after the other.

    What is told is the integers of each file.
    """
    told, left = [], iter(shares)

    def times(floats, integers, bits, context):
        assert (floats.grids, bits) == ({}, 8)
        return LayerTimes({name: {8: 1.0, 32: 2.0} for name in ("conv1", "conv2", "fc1", "fc2")}, 0.0, 8.0)

    def measured(floats, integers, context):
        told.append(set(integers.grids))
        share = next(left)
        return Estimate(value=share, low=share - 0.01, high=share + 0.01)

    monkeypatch.setattr("workbench.quantization.post_training.layer_times", times)
    monkeypatch.setattr("workbench.quantization.post_training.measured", measured)
    return told


@pytest.fixture
def on_device(context):
    return Context(context.dataset, context.baseline, runtime=load_runtime("onnxruntime"))


def test_a_latency_budget_leaves_in_floats_what_it_has_time_for(lenet5, on_device, monkeypatch):
    told = _timed(monkeypatch, 0.74)
    work = Work(copy.deepcopy(lenet5))
    Quantize(latency_budget=0.75).apply(work, on_device)
    assert told == [set(work.grids)] and len(work.grids) == 2
    assert on_grids(work) and work.simulated == []
    note = next(note for note in work.notes if "Left in floats: " in note)
    assert "takes 74% [73%, 75%] of the floats' latency: exported and timed on ONNX Runtime, the 1. choice" in note


def test_what_is_too_slow_when_it_is_timed_has_more_integers_until_it_is_fast_enough(lenet5, on_device, monkeypatch):
    told = _timed(monkeypatch, 0.80, 0.70)
    work = Work(copy.deepcopy(lenet5))
    Quantize(latency_budget=0.75).apply(work, on_device)
    assert [len(integers) for integers in told] == [2, 3] and set(work.grids) == told[1]
    _timed(monkeypatch, 0.95, 0.93)
    with pytest.raises(WorkbenchError, match=r"can't get down to 75%: of the choices .* timed, the fastest takes 93%"):
        Quantize(latency_budget=0.75).apply(Work(copy.deepcopy(lenet5)), on_device)


def test_a_latency_budget_goes_by_the_clock_from_the_layers_to_the_file(few_digits):
    torch.manual_seed(0)
    wide = nn.Sequential(*[nn.Conv2d(16 if i else 1, 16, 3, padding=1) for i in range(4)], nn.Flatten())
    module = nn.Sequential(wide, nn.Linear(16 * 28 * 28, 10)).eval()
    context = Context(few_digits, module, runtime=load_runtime("onnxruntime"))
    work = Work(copy.deepcopy(module))
    try:
        Quantize(latency_budget=0.95).apply(work, context)
    except WorkbenchError as refusal:  # where integers bring nothing, that is said with what was measured
        assert "fastest" in str(refusal)
    else:
        assert any("exported and timed on ONNX Runtime" in note for note in work.notes)
        assert on_grids(work)


def test_layers_are_timed_by_the_runtimes_own_profiler(quantized, context, lenet5):
    timed = Context(context.dataset, context.baseline, runtime=load_runtime("onnxruntime"))
    times = layer_times(Work(copy.deepcopy(lenet5)), quantized(), 8, timed)
    assert {name: set(table) for name, table in times.layers.items()} == {name: {8, 32} for name in weighted(lenet5)}
    assert all(time > 0 for table in times.layers.values() for time in table.values())
    assert times.rest > 0 and times.floats > sum(table[32] for table in times.layers.values())


@pytest.mark.parametrize("knobs", [{"simulate": True}, {"average_bits": 4.0}, {"mode": "dynamic"}])
def test_a_latency_budget_without_real_static_integers_is_refused(knobs):
    with pytest.raises(WorkbenchError, match="latency budget is for static integers"):
        Quantize(latency_budget=0.5, **knobs)


def test_bits_between_the_widest_grid_and_floats_are_refused():
    with pytest.raises(WorkbenchError, match="'fc1' can't have 20 bits"):
        Quantize(layers={"fc1": 20})
    with pytest.raises(WorkbenchError, match=r"Activations can't have 24 bits\. Give 1 to 16, or 32"):
        Quantize(activation_bits=24, simulate=True)


def test_a_layer_that_is_not_there_is_refused_with_those_that_are(quantized):
    with pytest.raises(WorkbenchError, match=r"no layer called 'conv9' to quantize\. Its layers are: conv1, conv2"):
        quantized(layers={"conv9": 4}, simulate=True)


def test_a_model_without_weights_is_refused(context):
    with pytest.raises(WorkbenchError, match="no convolution and no linear layer to quantize"):
        Quantize().apply(Work(nn.Flatten()), context)


def test_bias_correction_restores_the_mean_output(context, lenet5, quantized):
    batches = list(torch.from_numpy(context.dataset.prepare(context.dataset.calibration.inputs[:64])).split(64))
    before = mean_outputs(lenet5, weighted(lenet5), batches)
    off = {}
    for corrected in (False, True):
        work = quantized(weight_bits=2, activation_bits=32, bias_correction=corrected, simulate=True)
        after = mean_outputs(work.module, weighted(work.module), batches)
        off[corrected] = {name: float((after[name] - before[name]).abs().max()) for name in before}
    assert all(off[True][name] < 1e-3 < off[False][name] for name in before)


def test_the_same_declaration_gives_the_same_weights(quantized):
    knobs = {"weight_bits": 4, "rounding": "gptq", "bias_correction": True, "equalize": True, "simulate": True}
    one, other = quantized(**knobs), quantized(**knobs)
    assert all(torch.equal(a, b) for a, b in zip(one.module.parameters(), other.module.parameters(), strict=True))
    assert on_grids(one)
