"""What every export does: write, read back, agree with the module, run elsewhere, and refuse in sentences."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from workbench import Dataset, Prune, Recipe, ShareWeights, Study, Trial, WorkbenchError
from workbench.exports import EXPORTS
from workbench.exports.base import Exported

EVERY_EXPORT = pytest.mark.parametrize("export", EXPORTS.values(), ids=list(EXPORTS))
ARCHITECTURE = """
import torch
from torch import nn

class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 16, 5, 2), nn.Conv2d(16, 16, 3, padding=1)
        self.norm, self.out = nn.BatchNorm2d(16), nn.Linear(16, 10)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return self.out((x + self.norm(self.second(x))).mean((2, 3)))

def build():
    torch.manual_seed(0)
    return Residual()
"""


@pytest.fixture(scope="module", params=list(EXPORTS))
def exported(request, study, tmp_path_factory) -> Exported:
    """Trial 1 (pruned, trained, int8) in each format."""
    try:
        return study.trial(1).export(request.param, tmp_path_factory.mktemp(request.param) / "made" / "here")
    except WorkbenchError as error:
        if "not installed" not in error.message:
            raise
        pytest.skip(str(error))


def run_elsewhere(snippet: str, folder: Path, inputs: np.ndarray) -> np.ndarray:
    """What the snippet computes in a fresh process that can't import this project."""
    np.save(folder / "inputs.npy", inputs)
    code = (
        f"import sys\nsys.modules['workbench'] = None\n{snippet}\nnp.save('logits.npy', np.asarray(logits))\n"
    ).replace("import numpy as np\n", "import numpy as np\nGIVEN = np.load('inputs.npy')\n", 1)
    first = next(line for line in snippet.splitlines() if line.startswith("inputs = np.zeros"))
    code = code.replace(first, "inputs = GIVEN").replace("inputs /= 255  # pixels to [0, 1]\n", "")
    code = "\n".join(line for line in code.splitlines() if not line.startswith("inputs = (inputs - "))
    (folder / "snippet.py").write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, "snippet.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "logits.npy")


def expected_of(trial: Trial, inputs: np.ndarray) -> np.ndarray:
    return trial.module()(torch.from_numpy(inputs)).detach().numpy()


def test_every_format_is_found_by_its_name():
    assert [(name, export.name) for name, export in EXPORTS.items()] == [(name, name) for name in EXPORTS]
    assert all(export.title and export.suffixes for export in EXPORTS.values())


def test_its_files_are_there_whole_and_agree_with_the_module(exported):
    assert [file.exists() for file in exported.files] == [True] * len(exported.files)
    assert exported.size_bytes == sum(file.stat().st_size for file in exported.files) > 1000
    assert exported.parity.same_answers >= 0.98
    assert sorted(exported.files[0].parent.iterdir()) == sorted(exported.files + exported.helpers), (
        "nothing else is left"
    )
    assert f"{exported.size_bytes:,} bytes; the same answer as the module on " in exported.sentence()


def test_its_snippet_runs_it_in_a_process_that_does_not_know_this_project(exported, study):
    trial = study.trial(1)
    inputs = study.dataset.prepare(study.dataset.validation.inputs[:20])
    assert "workbench" not in exported.snippet
    logits = run_elsewhere(exported.snippet, exported.files[0].parent, inputs)
    expected = expected_of(trial, inputs)
    assert np.abs(logits - expected).max() <= exported.parity.largest_difference + 0.05 * np.abs(expected).max()
    assert (logits.argmax(1) == expected.argmax(1)).mean() >= 0.95


def test_its_snippet_has_ten_lines_at_most_but_for_what_prepares_the_inputs(exported, study):
    own = exported.snippet.removeprefix(study.trial(1).input_code())
    assert len([line for line in own.splitlines() if line.strip()]) <= 10


def test_int8_stays_int8_where_the_format_can_and_is_said_where_it_cannot(exported, study):
    if exported.format in ("onnx", "openvino"):
        assert exported.size_bytes < 0.6 * sum(p.numel() for p in study.trial(1).module().parameters()) * 4
        assert not exported.note
    if exported.format in ("torch", "safetensors"):
        assert "stored as 32-bit floats" in exported.note


def test_the_onnx_file_of_an_onnx_study_is_the_artifact_itself(study, tmp_path):
    trial = study.trial(1)
    assert trial.export("onnx", tmp_path).files[0].read_bytes() == trial.artifact.read_bytes()


def test_no_plan_needs_more_than_torch_has(study, tmp_path):
    plan = yaml.safe_load(study.trial(1).export("safetensors", tmp_path).files[1].read_text(encoding="utf-8"))
    assert plan["architecture"] == "lenet5"
    assert plan["layers"]["conv1"]["type"] == "Conv2d"
    assert plan["layers"]["conv1"]["arguments"]["out_channels"] == study.trial(1).module().conv1.out_channels
    assert all(hasattr(nn, layer["type"]) for layer in plan["layers"].values())


@pytest.fixture(scope="module")
def own(digits, tmp_path_factory) -> Study:
    """A model of one's own with a shortcut, pruned, in a study of another runtime."""
    names: dict = {"__name__": "architecture"}
    exec(ARCHITECTURE, names)
    study = Study(names["build"](), digits, runtime="torch", path=tmp_path_factory.mktemp("own") / "study")
    study.run(Recipe([Prune(ratio=0.5)]))
    study.run(Recipe([ShareWeights(bits=4)]))
    return study


@pytest.mark.parametrize("name", ["safetensors", "onnx", "packed"])
def test_a_model_of_your_own_is_exported_from_a_study_of_another_runtime(name, own, tmp_path):
    found = own.trial(1).export(name, tmp_path)
    assert found.parity.largest_difference < 1e-4
    (tmp_path / "architecture.py").write_text(ARCHITECTURE, encoding="utf-8")
    inputs = own.dataset.prepare(own.dataset.validation.inputs[:5])
    logits = run_elsewhere(found.snippet, tmp_path, inputs)
    expected = expected_of(own.trial(1), inputs)
    assert np.allclose(logits, expected, atol=1e-4)


def test_a_packed_trial_is_packed_as_it_is_and_its_decoder_s_needs_are_said(own, tmp_path):
    found = own.trial(2).export("packed", tmp_path)
    assert found.files[0].read_bytes() == own.trial(2).artifact.read_bytes()
    assert "constriction" in found.note
    assert "stored as 32-bit floats" in own.trial(2).export("onnx", tmp_path).note


def test_a_zoo_model_with_shortcuts_brings_its_own_code(tmp_path):
    rng = np.random.default_rng(0)
    data = (rng.random((64, 1, 32, 32), dtype=np.float32), np.arange(64) % 10)
    dataset = Dataset(train=data, validation=data, classes=[str(c) for c in range(10)], name="fashion_mnist")
    study = Study("resnet20", dataset, path=tmp_path / "study")
    trial = study.run(Recipe([Prune(ratio=0.3)]))
    found = trial.export("safetensors", tmp_path / "out")
    inputs = dataset.prepare(dataset.validation.inputs[:4])
    expected = expected_of(trial, inputs)
    assert np.allclose(run_elsewhere(found.snippet, tmp_path / "out", inputs), expected, atol=1e-4)


def test_of_layers_in_a_row_of_which_one_is_used_twice_your_own_code_is_asked_for(digits, tmp_path):
    act = nn.ReLU()
    module = nn.Sequential(nn.Conv2d(1, 8, 5, 3), act, nn.Conv2d(8, 8, 3), act, nn.Flatten(), nn.Linear(288, 10))
    study = Study(module, digits, path=tmp_path / "study")
    found = study.run(Recipe([Prune(ratio=0.3)])).export("safetensors", tmp_path / "out")
    assert [helper.name for helper in found.helpers] == ["planned.py"]
    assert "from architecture import build  # your own code" in found.snippet


def test_your_own_architecture_is_not_overwritten(study, tmp_path):
    (tmp_path / "architecture.py").write_text("mine", encoding="utf-8")
    study.trial(1).export("safetensors", tmp_path)
    assert (tmp_path / "architecture.py").read_text(encoding="utf-8") == "mine"


def test_an_unknown_format_is_refused_with_the_nearest_one(study, tmp_path):
    with pytest.raises(WorkbenchError, match=r"no format called 'onx'\. Did you mean 'onnx'"):
        study.trial(1).export("onx", tmp_path)


@EVERY_EXPORT
def test_a_trial_without_a_model_is_refused(export, study, tmp_path):
    with pytest.raises(WorkbenchError, match="Trial 2 has no artifact: it failed"):
        study.trial(2).export(export.name, tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(study, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(WorkbenchError, match="can't be written"):
        study.trial(1).export("onnx", tmp_path / "file")


def test_where_openvino_is_not_installed_it_says_how_to(study, tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.runtimes.openvino.OpenVino.version", lambda self: None)
    with pytest.raises(WorkbenchError, match="OpenVINO is not installed") as refusal:
        study.trial(1).export("openvino", tmp_path)
    assert "pip install openvino" in refusal.value.hint
