"""OpenVINO runs the very file that ONNX Runtime runs, on kernels of its own."""

import copy

import numpy as np
import pytest

from workbench import Quantize, WorkbenchError
from workbench.runtimes import RUNTIMES
from workbench.steps.base import Work

OPENVINO, ONNX = RUNTIMES["openvino"], RUNTIMES["onnxruntime"]


@pytest.mark.parametrize("runtime", [OPENVINO], ids=["openvino"])
@pytest.mark.parametrize("quantize", [None, Quantize()], ids=["float", "int8"])
def test_one_file_for_both_runtimes_with_the_same_answers(runtime, quantize, zoo_lenet5, digits, tmp_path):
    inputs = digits.prepare(digits.validation.inputs[:50])
    for each in (runtime, ONNX):
        work = Work(copy.deepcopy(zoo_lenet5), quantization=quantize)
        each.export(work, inputs[:2], inputs, tmp_path / f"{each.name}.onnx")
    path = tmp_path / "openvino.onnx"
    assert path.read_bytes() == (tmp_path / "onnxruntime.onnx").read_bytes()
    ours, theirs = runtime.load(path)(inputs), ONNX.load(path)(inputs)
    assert np.abs(ours - theirs).max() < 0.02 * np.abs(theirs).max()
    assert set(runtime.weight_bits(path).values()) == {8 if quantize else 32}


@pytest.mark.parametrize("runtime", [OPENVINO], ids=["openvino"])
@pytest.mark.parametrize("mode", ["dynamic", "weight-only"])
def test_modes_that_it_has_no_kernels_for_are_refused(runtime, mode):
    with pytest.raises(WorkbenchError, match=f"'openvino' has no kernels for {mode} 8-bit"):
        runtime.check(Quantize(mode=mode))


def test_where_it_is_not_installed_it_says_how_to(monkeypatch):
    monkeypatch.setattr(type(OPENVINO), "version", lambda self: None)
    with pytest.raises(WorkbenchError, match="'openvino' is not installed") as refusal:
        OPENVINO.check()
    assert "pip install openvino" in refusal.value.hint
