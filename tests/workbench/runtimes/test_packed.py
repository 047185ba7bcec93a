"""The packed file keeps to what every runtime promises, and holds the very weights of the module."""

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Quantize, ShareWeights, WorkbenchError
from workbench.packing import unpack
from workbench.quantization.activations import rounded_inputs
from workbench.quantization.grid import Grid
from workbench.runtimes import PACKED, RUNTIMES, runtime_of
from workbench.steps.base import Context, Work
from workbench.weights import weight_hash


@pytest.fixture(scope="module")
def inputs(digits) -> np.ndarray:
    return digits.prepare(digits.validation.inputs[:100])


@pytest.fixture(scope="module")
def work(zoo_lenet5, digits) -> Work:
    """LeNet-5 with shared weights."""
    work = Work(copy.deepcopy(zoo_lenet5))
    ShareWeights(bits=4, conv_bits=4).apply(work, Context(digits, zoo_lenet5))
    return work


@pytest.fixture(scope="module")
def packed(work, inputs, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "model.packed"
    before = weight_hash(work.module)
    PACKED.export(work, inputs[:2], inputs[:2], path)
    assert weight_hash(work.module) == before
    return path


class Small(nn.Module):
    """A convolution with batch-norm, and a linear layer on three dimensions: what exporters like to fold."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.wide = nn.Linear(28, 12)
        self.out = nn.Linear(12, 10)
        nn.init.uniform_(self.norm.running_var, 0.5, 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x))).mean(1)
        return self.out(self.wide(x).mean(1))


def test_it_is_no_runtime_to_choose_and_is_told_by_its_suffix():
    assert PACKED.name not in RUNTIMES
    for runtime in RUNTIMES.values():
        assert runtime_of(Path("model.packed"), runtime) is PACKED
        assert runtime_of(Path(f"model{runtime.suffix}"), runtime) is runtime


def test_it_agrees_with_the_module_for_any_batch(packed, work, inputs):
    session = PACKED.load(packed)
    with torch.no_grad():
        expected = work.module(torch.from_numpy(inputs)).numpy()
    for batch in (1, 7, 100):
        assert np.allclose(session(inputs[:batch]), expected[:batch], atol=1e-4)


def test_it_is_smaller_by_what_the_bits_say(packed, work):
    floats = 4 * sum(parameter.numel() for parameter in work.module.parameters())
    assert packed.stat().st_size < floats * 4 / 32


def test_its_weights_are_the_module_s_bit_for_bit(packed, work):
    _, weights = unpack(packed.read_bytes())
    state = work.module.state_dict()
    assert {name for name in weights if name in state} >= {
        f"{name}.weight" for name in ("conv1", "conv2", "fc1", "fc2")
    }
    for name, array in weights.items():
        assert np.array_equal(array, state[name].numpy())


def test_exporting_again_gives_the_very_same_bytes(packed, work, inputs, tmp_path):
    PACKED.export(work, inputs[:2], inputs[:2], tmp_path / "again.packed")
    assert (tmp_path / "again.packed").read_bytes() == packed.read_bytes()


def test_nothing_is_folded_into_weights_that_lie_on_a_grid(inputs, tmp_path):
    module = Small().eval()
    grids = {}
    for name in ("conv", "wide"):
        weight = module.get_parameter(f"{name}.weight")
        grids[f"{name}.weight"] = grid = Grid(weight.detach().flatten(1).abs().amax(1) / 7, bits=4)
        with torch.no_grad():
            weight.copy_(grid.nearest(weight))
    path = tmp_path / "model.packed"
    PACKED.export(Work(module, grids=grids), inputs[:2], inputs[:2], path)
    _, weights = unpack(path.read_bytes())
    for name, grid in grids.items():
        assert np.array_equal(weights[name], module.get_parameter(name).detach().numpy())
        assert grid.holds(torch.from_numpy(weights[name].copy()))
    with torch.no_grad():
        expected = module(torch.from_numpy(inputs)).numpy()
    assert np.allclose(PACKED.load(path)(inputs), expected, atol=1e-5)


@pytest.mark.parametrize("bits", [1, 4])
def test_simulated_dynamic_ranges_are_those_of_each_run(bits, zoo_lenet5, digits, inputs, tmp_path):
    work = Work(copy.deepcopy(zoo_lenet5))
    Quantize(mode="dynamic", weight_bits=4, activation_bits=bits, simulate=True).apply(
        work, Context(digits, work.module)
    )
    PACKED.export(work, inputs[:2], inputs[:2], tmp_path / "model.packed")
    session = PACKED.load(tmp_path / "model.packed")
    for batch in (inputs[:1], inputs, 1000 * inputs):
        with torch.no_grad(), rounded_inputs(work.module, work.activations):
            expected = work.module(torch.from_numpy(batch)).numpy()
        assert abs(session(batch) - expected).mean() < 0.02 * abs(expected).mean()


def test_integers_that_a_kernel_computes_with_are_packed_as_they_are(zoo_lenet5, inputs, tmp_path):
    work = Work(zoo_lenet5, quantization=Quantize(mode="weight-only"))
    plain, packed = tmp_path / "model.onnx", tmp_path / "model.packed"
    RUNTIMES["onnxruntime"].export(work, inputs[:2], inputs, plain)
    PACKED.export(work, inputs[:2], inputs, packed)
    assert packed.stat().st_size < plain.stat().st_size
    assert np.array_equal(PACKED.load(packed)(inputs), RUNTIMES["onnxruntime"].load(plain)(inputs))


def test_the_file_tells_nothing_of_the_machine_that_made_it(packed):
    graph, _ = unpack(packed.read_bytes())
    for told in (Path.cwd(), Path(torch.__file__).parent):
        assert os.fsencode(str(told)) not in graph


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_refused(share, packed, tmp_path):
    path = tmp_path / "model.packed"
    whole = packed.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WorkbenchError, match=r"can't be loaded by 'packed': it is .*(empty|damaged)"):
        PACKED.load(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"WBP1", b"PK\x03\x04", os.urandom(10_000)], ids=len)
def test_a_file_of_something_else_is_refused(content, tmp_path):
    path = tmp_path / "other.packed"
    path.write_bytes(content)
    with pytest.raises(WorkbenchError, match=r"it is .*(empty|damaged|cut off|not known)"):
        PACKED.load(path)


def test_its_snippet_runs_the_file_without_this_project(packed, inputs, monkeypatch):
    monkeypatch.chdir(packed.parent)
    code = PACKED.snippet(packed.name)
    (helper,) = PACKED.helpers().values()
    assert "workbench" not in code + helper
    assert len([line for line in code.splitlines() if line.strip()]) <= 6
    (packed.parent / "unpacking.py").write_text(helper, encoding="utf-8")
    monkeypatch.syspath_prepend(packed.parent)
    names = {"inputs": inputs}
    exec(code, names)
    assert np.allclose(np.asarray(names["logits"]), PACKED.load(packed)(inputs), atol=1e-4)


def test_what_is_inside_can_be_looked_at_as_in_an_onnx_file(packed, inputs):
    assert set(PACKED.activations(packed, inputs[:4])) == {"conv1", "conv2", "fc1", "fc2"}
    assert PACKED.profile(packed, inputs[:1], runs=2)
