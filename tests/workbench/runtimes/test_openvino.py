"""OpenVINO runs the very file that ONNX Runtime runs, on kernels of its own."""

import copy

import numpy as np
import pytest

from workbench import Quantize, WorkbenchError
from workbench.runtimes import RUNTIMES
from workbench.steps.base import Work

OPENVINO, ONNX = RUNTIMES["openvino"], RUNTIMES["onnxruntime"]


@pytest.mark.parametrize("runtime", [OPENVINO], ids=["openvino"])
@pytest.mark.parametrize(
    ("quantize", "bits"),
    [(None, 32), (Quantize(), 8), (Quantize(mode="weight-only", weight_bits=4), 4)],
    ids=["float", "int8", "4-bit"],
)
def test_one_file_for_both_runtimes_with_the_same_answers(runtime, quantize, bits, zoo_lenet5, digits, tmp_path):
    inputs = digits.prepare(digits.validation.inputs[:50])
    for each in (runtime, ONNX):
        work = Work(copy.deepcopy(zoo_lenet5), quantization=quantize)
        each.export(work, inputs[:2], inputs, tmp_path / f"{each.name}.onnx")
    path = tmp_path / "openvino.onnx"
    assert path.read_bytes() == (tmp_path / "onnxruntime.onnx").read_bytes()
    ours, theirs = runtime.load(path)(inputs), ONNX.load(path)(inputs)
    assert np.abs(ours - theirs).max() < 0.02 * np.abs(theirs).max()
    assert bits in runtime.weight_bits(path).values()


@pytest.mark.parametrize("runtime", [OPENVINO], ids=["openvino"])
def test_modes_that_it_has_no_kernels_for_are_refused(runtime):
    with pytest.raises(WorkbenchError, match="'openvino' has no kernels for dynamic 8-bit"):
        runtime.check(Quantize(mode="dynamic"))


def test_where_it_is_not_installed_it_says_how_to(monkeypatch):
    monkeypatch.setattr(type(OPENVINO), "version", lambda self: None)
    with pytest.raises(WorkbenchError, match="'openvino' is not installed") as refusal:
        OPENVINO.check()
    assert "pip install openvino" in refusal.value.hint
