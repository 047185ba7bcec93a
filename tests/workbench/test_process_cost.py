"""What a fresh process pays: measured on real files, by the runtime's own snippet."""

from pathlib import Path

import numpy as np
import psutil
import pytest

from workbench import WorkbenchError, fresh
from workbench.process_cost import process_cost
from workbench.runtimes import OnnxRuntime, load_runtime
from workbench.steps.base import Work


@pytest.fixture(scope="module")
def artifact(digits, zoo_lenet5, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("artifact") / "model.onnx"
    inputs = digits.prepare(digits.calibration.inputs[:2])
    load_runtime("onnxruntime").export(Work(zoo_lenet5), inputs, inputs, path)
    return path


class Allocates(OnnxRuntime):
    """A runtime whose snippet only takes so much memory."""

    def __init__(self, megabytes: int):
        self._megabytes = megabytes

    def snippet(self, filename: str) -> str:
        return f"import os\n\ntaken = np.ones({self._megabytes} << 17)\nassert os.path.exists({filename!r})\n"


def test_a_process_that_runs_only_the_artifact_is_far_smaller_than_this_one(artifact):
    held = np.ones(100 << 17)  # what this process holds is not counted
    cost = process_cost(load_runtime("onnxruntime"), artifact, (1, 1, 28, 28), seconds=0)
    assert cost.starts == 1
    assert 0 < cost.runtime_bytes < cost.peak_bytes < psutil.Process().memory_info().rss
    assert 0 < cost.cold_start.low <= cost.cold_start.value <= cost.cold_start.high
    assert cost.import_ms > 0
    assert held.nbytes == 100 << 20


def test_what_the_artifact_takes_is_seen(artifact):
    small, large = (process_cost(Allocates(size), artifact, (1,), seconds=0) for size in (1, 65))
    grown = (large.peak_bytes - large.runtime_bytes) - (small.peak_bytes - small.runtime_bytes)
    assert grown == pytest.approx(64 << 20, rel=0.05)


def test_several_starts_give_an_interval(artifact):
    cost = process_cost(Allocates(1), artifact, (1,), seconds=600)
    assert cost.starts == 5


def test_a_file_that_does_not_run_is_refused_with_the_reason(artifact, tmp_path):
    broken = tmp_path / "model.onnx"
    broken.write_bytes(artifact.read_bytes()[:1000])
    with pytest.raises(WorkbenchError, match=r"A fresh process could not run model\.onnx: .+"):
        process_cost(load_runtime("onnxruntime"), broken, (1, 1, 28, 28))


def test_imports_are_told_apart_from_the_rest():
    told = fresh.run("import time\n\ntime.sleep(0.05)\nassert inputs.shape == (2, 3)\n", [2, 3])
    assert told["cold_start_ms"] >= 50
    assert told["peak_bytes"] >= told["runtime_bytes"] > 0


def test_what_the_snippet_imports_is_there_and_counts_as_an_import():
    helpers = {"beside_it.py": "import time\n\ntime.sleep(0.05)\nANSWER = 42\n"}
    told = fresh.run("from beside_it import ANSWER\n\nassert ANSWER == 42\n", [1], helpers=helpers)
    assert told["import_ms"] > 50 > told["cold_start_ms"]
