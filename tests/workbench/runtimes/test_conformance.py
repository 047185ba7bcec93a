"""What every runtime does: export, load, run any batch, agree with the module, and refuse in sentences."""

import copy
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Quantize, WorkbenchError
from workbench.runtimes import RUNTIMES, Kernel, Runtime, load_runtime
from workbench.steps.base import Work
from workbench.weights import weight_hash


def _here(runtime: Runtime) -> list[pytest.MarkDecorator]:
    """One that isn't installed is left out, with the command that installs it."""
    return [pytest.mark.skipif(runtime.version() is None, reason=runtime.install())]


EVERY_RUNTIME = pytest.mark.parametrize(
    "runtime", [pytest.param(runtime, id=name, marks=_here(runtime)) for name, runtime in RUNTIMES.items()]
)
KERNELS = [
    pytest.param(
        runtime,
        kernel,
        id=f"{runtime.name}-{kernel.mode}-{kernel.weight_bits}" if kernel else runtime.name,
        marks=_here(runtime),
    )
    for runtime in RUNTIMES.values()
    for kernel in (None, *runtime.kernels)
]
EVERY_KERNEL = pytest.mark.parametrize(("runtime", "kernel"), KERNELS)
Export = Callable[..., Path]
TOLERANCE = {None: 1e-5, 8: 0.05, 4: 0.15}  # of the largest logit, by the bits of a weight


def _quantize(kernel: Kernel | None) -> Quantize | None:
    if kernel is None:
        return None
    return Quantize(mode=kernel.mode, weight_bits=kernel.weight_bits, activation_bits=kernel.activation_bits or 8)


@pytest.fixture
def inputs(digits) -> np.ndarray:
    return digits.prepare(digits.validation.inputs[:100])


@pytest.fixture(scope="module")
def calibration(digits) -> np.ndarray:
    return digits.prepare(digits.calibration.inputs[:64])


@pytest.fixture(scope="module")
def export(zoo_lenet5, calibration, tmp_path_factory) -> Export:
    """Exports LeNet-5 and returns the artifact; the same one for the same name, as exporting takes seconds."""
    folder = tmp_path_factory.mktemp("artifacts")

    def export(runtime: Runtime, kernel: Kernel | None = None, name: str = "model") -> Path:
        path = folder / f"{runtime.name}-{name}-{str(kernel).replace(' ', '-')}{runtime.suffix}"
        if not path.exists():
            work = Work(copy.deepcopy(zoo_lenet5), quantization=_quantize(kernel))
            before = weight_hash(work.module)
            runtime.export(work, calibration[:2], calibration, path)
            assert weight_hash(work.module) == before, "exporting leaves the module as it was"
        return path

    return export


@pytest.mark.parametrize("name", ["onnxruntime", "torch"])
def test_every_installation_has_the_first_ones(name):
    load_runtime(name).check()


@EVERY_RUNTIME
def test_it_says_what_it_is(runtime):
    assert load_runtime(runtime.name) is runtime
    assert runtime.version()[0].isdigit()
    assert runtime.title
    assert runtime.suffix.startswith(".")
    assert runtime.install().startswith("pip install ")
    assert "cpu" in runtime.devices_here()


@EVERY_KERNEL
def test_its_artifact_agrees_with_the_module(runtime, kernel, export, zoo_lenet5, inputs):
    with torch.no_grad():
        expected = zoo_lenet5(torch.from_numpy(inputs)).numpy()
    outputs = runtime.load(export(runtime, kernel))(inputs)
    assert (outputs.shape, outputs.dtype) == ((100, 10), np.float32)
    largest = np.abs(outputs - expected).max() / np.abs(expected).max()
    assert largest <= TOLERANCE[kernel and kernel.weight_bits]
    assert (outputs.argmax(1) == expected.argmax(1)).mean() >= 0.98
    assert kernel is None or largest > 1e-5  # it really computes with fewer bits


@EVERY_KERNEL
@pytest.mark.parametrize("batch", [1, 7])
def test_it_runs_batches_of_any_size(runtime, kernel, batch, export, inputs):
    session = runtime.load(export(runtime, kernel))
    assert np.allclose(session(inputs[:batch]), session(inputs)[:batch], atol=0.5 if kernel else 1e-4)
    assert session(inputs[:batch]).shape == (batch, 10)


@EVERY_KERNEL
def test_exporting_again_gives_the_very_same_bytes(runtime, kernel, export):
    assert export(runtime, kernel, "one").read_bytes() == export(runtime, kernel, "other").read_bytes()


@EVERY_RUNTIME
def test_fewer_bits_make_a_smaller_file(runtime, export):
    sizes = {kernel and str(kernel): export(runtime, kernel).stat().st_size for kernel in (None, *runtime.kernels)}
    assert all(size < 0.4 * sizes[None] for name, size in sizes.items() if name)


@EVERY_KERNEL
def test_the_file_tells_nothing_of_the_machine_that_made_it(runtime, kernel, export):
    content = export(runtime, kernel).read_bytes()
    assert os.fsencode(str(Path.cwd())) not in content
    assert os.fsencode(str(Path(torch.__file__).parent)) not in content


@EVERY_RUNTIME
@pytest.mark.parametrize("bits", [1, 2, 3, 5, 6, 7, 16])
def test_bits_that_it_has_no_kernels_for_are_refused_with_those_it_has(runtime, bits, export):
    with pytest.raises(WorkbenchError, match=f"'{runtime.name}' has no kernels for static {bits}-bit") as refusal:
        runtime.check(Quantize(weight_bits=bits))
    assert all(str(kernel) in refusal.value.hint for kernel in runtime.kernels)
    with pytest.raises(WorkbenchError, match="has no kernels for"):
        export(runtime, Kernel("static", bits, 8))


@EVERY_RUNTIME
def test_a_device_that_is_not_here_is_refused_with_those_that_are(runtime):
    with pytest.raises(WorkbenchError, match=r"can't use the device 'tpu' here\. Choose one of: cpu"):
        runtime.check(device="tpu")


@EVERY_RUNTIME
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_artifact_is_refused(runtime, share, export, tmp_path):
    path = tmp_path / f"model{runtime.suffix}"
    whole = export(runtime).read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WorkbenchError, match=f"can't be loaded by '{runtime.name}': it is .*(empty|cut off|damaged)"):
        runtime.load(path)


@EVERY_RUNTIME
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", os.urandom(10_000)], ids=len)
def test_a_file_of_something_else_is_refused(runtime, content, tmp_path):
    path = tmp_path / f"other{runtime.suffix}"
    path.write_bytes(content)
    with pytest.raises(WorkbenchError, match=r"it is .*(empty|damaged|a zip archive)"):
        runtime.load(path)


@EVERY_RUNTIME
def test_an_artifact_of_another_runtime_is_refused(runtime, export):
    for other in (RUNTIMES["onnxruntime"], RUNTIMES["torch"]):
        if other.suffix != runtime.suffix:
            with pytest.raises(WorkbenchError, match=r"it is an? (ONNX model|torch\.export program)") as refusal:
                runtime.load(export(other))
            assert f"'{other.name}'" in refusal.value.hint


@EVERY_RUNTIME
def test_a_file_that_is_not_there_is_refused(runtime, tmp_path):
    with pytest.raises(WorkbenchError, match="it is not there"):
        runtime.load(tmp_path / f"none{runtime.suffix}")


class DependsOnValues(nn.Module):
    """What no exporter can follow: a path chosen by the values of the input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :10] if x.sum().item() > 3 else x.flatten(1)[:, 10:20]


@EVERY_RUNTIME
def test_a_model_that_cannot_be_exported_is_refused_with_the_reason(runtime, calibration, tmp_path):
    path = tmp_path / f"model{runtime.suffix}"
    with pytest.raises(WorkbenchError, match=f"could not be exported for '{runtime.name}': ") as refusal:
        runtime.export(Work(DependsOnValues()), calibration[:2], calibration, path)
    assert "\n" not in str(refusal.value)


@EVERY_RUNTIME
def test_its_snippet_runs_the_artifact_without_this_project(runtime, export, inputs, monkeypatch):
    path = export(runtime)
    monkeypatch.chdir(path.parent)
    code = runtime.snippet(path.name)
    assert "workbench" not in code
    assert len([line for line in code.splitlines() if line.strip()]) <= 6
    for name, helper in runtime.helpers().items():
        assert "workbench" not in helper
        Path(name).write_text(helper, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
    monkeypatch.syspath_prepend(path.parent)
    names = {"inputs": inputs}
    exec(code, names)
    assert np.allclose(np.asarray(names["logits"]), runtime.load(path)(inputs), atol=1e-4)


def test_an_unknown_runtime_is_refused_with_the_nearest_one():
    with pytest.raises(WorkbenchError, match=r"no runtime called 'onnx-runtime'\. Did you mean 'onnxruntime'"):
        load_runtime("onnx-runtime")
