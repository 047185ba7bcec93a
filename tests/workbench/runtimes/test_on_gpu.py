"""Where there is a CUDA device, every runtime that can use it gives the same answers there, and is timed there."""

import copy

import numpy as np
import pytest
import torch

from workbench import Half, Prune, Quantize, Recipe, Study, WorkbenchError
from workbench.latency import cuda_clock
from workbench.runtimes import RUNTIMES
from workbench.runtimes.inductor import Inductor
from workbench.steps.base import Work

ABLE = [name for name, runtime in RUNTIMES.items() if "cuda" in runtime.devices_here()]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@needs_gpu
@pytest.mark.parametrize("name", ABLE)
def test_the_file_answers_as_the_module_does(name, zoo_lenet5, digits, tmp_path):
    runtime, inputs = RUNTIMES[name].suited(1, 1, "cuda"), digits.prepare(digits.validation.inputs[:20])
    path = tmp_path / f"model{runtime.suffix}"
    runtime.export(Work(copy.deepcopy(zoo_lenet5)), inputs[:2], inputs, path)
    with torch.inference_mode():
        expected = zoo_lenet5(torch.from_numpy(inputs)).numpy()
    assert np.allclose(runtime.load(path, 1, "cuda")(inputs), expected, atol=1e-2)


@needs_gpu
@pytest.mark.parametrize("name", ABLE)
@pytest.mark.parametrize("steps", [[Prune(ratio=0.5)], [Prune(ratio=0.5), Half()], [Quantize(simulate=True)]])
def test_a_study_measures_on_it(name, steps, few_digits, tmp_path):
    study = Study("lenet5", few_digits, runtime=name, device="cuda", path=tmp_path)
    if any(isinstance(step, Half) for step in steps) and "float16" not in study.runtime.floats:
        with pytest.raises(WorkbenchError, match="float16"):
            study.run(Recipe(steps))
        return
    metrics = study.run(Recipe(steps)).metrics
    assert metrics is not None
    assert metrics.parity.same_answers >= 0.95
    if not metrics.simulated:
        assert metrics.conditions.device == "cuda" and metrics.speedup.low <= metrics.speedup.value


@needs_gpu
def test_events_see_the_work_that_a_call_only_queued():
    matrix = torch.randn(2048, 2048, device="cuda")
    one, ten = (min(cuda_clock(lambda n=n: [matrix @ matrix for _ in range(n)]) for _ in range(5)) for n in (1, 10))
    assert ten > 4 * one


def test_what_is_compiled_for_a_gpu_is_another_runtime_than_that_for_the_processor():
    assert Inductor().suited(1, 1).device == "cpu"
    assert Inductor().suited(1, 1, "cuda").device == "cuda"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", ["torch", "onnxruntime", "inductor"])
def test_where_there_is_none_the_refusal_says_what_is_lacking(name):
    with pytest.raises(WorkbenchError, match="can't use the device 'cuda' here: ") as refusal:
        RUNTIMES[name].check(device="cuda")
    assert refusal.value.hint.startswith("Choose one of: cpu")
