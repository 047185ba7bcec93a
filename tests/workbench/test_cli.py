"""The command line: the same words and the same results as in Python; every refusal is a sentence."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from workbench import Dataset, Prune, Quantize, Recipe, Study, cli
from workbench.knobs import knobs
from workbench.roofline import roofline
from workbench.runtimes import RUNTIMES
from workbench.steps import STEPS

RECIPE = Recipe([Prune(ratio=0.25, importance="taylor"), Quantize()], seed=3)
STEPS_ASKED = ("--step", "prune ratio=0.25 importance=taylor", "--step", "quantize", "--seed", "3")
OWN = """
import torch
from torch import nn
from workbench import Dataset
from workbench.data import load_dataset

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))

def data():
    mnist = load_dataset("mnist")
    cut = {name: getattr(mnist, name) for name in ("train", "validation")}
    return Dataset(**{name: (split.inputs[:n], split.labels[:n]) for (name, split), n in zip(cut.items(), (512, 200))})
"""


@pytest.fixture
def command(capsys, monkeypatch):
    """The command line in this process: `command(*arguments)` gives its exit status and what it said."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments: object) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["workbench", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return SimpleNamespace(status=end.value.code or 0, out=said.out, err=said.err)

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study in which the same recipe ran three times: from a file, from --step, and from Python."""
    path = tmp_path_factory.mktemp("cli") / "study"
    RECIPE.save(path.with_suffix(".yaml"))
    into = ["--path", str(path), "--json"]
    command = [sys.executable, "-m", "workbench.cli", "run", str(path.with_suffix(".yaml")), *into]
    from_file = subprocess.run(command, capture_output=True, text=True, check=True)
    from_steps = CliRunner().invoke(cli.app, ["run", *STEPS_ASKED, *into])
    for number, said in ((1, from_file.stdout), (2, from_steps.stdout)):
        (path / f"said-{number}.json").write_text(said, encoding="utf-8")
    Study("lenet5", "mnist", path=path).run(RECIPE)
    return path


def test_a_recipe_file_steps_and_python_give_the_same(folder):
    here = Study.open(folder).trials[-1]
    assert here.recipe.hash == RECIPE.hash
    for number in (1, 2):
        said = json.loads((folder / f"said-{number}.json").read_text(encoding="utf-8"))
        assert (said["number"], said["state"]) == (number, "complete")
        assert said["recipe_hash"] == RECIPE.hash
        assert said["weight_hash"] == here.weight_hash
        assert said["metrics"]["size_bytes"] == here.metrics.size_bytes


def test_trials_are_listed_with_what_was_measured(folder, command):
    lines = command("trials", folder).out.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"Trial({n}" for n in range(4)]
    assert all(
        f"{trial.metrics.size_bytes:,} bytes" in line
        for trial, line in zip(Study.open(folder).trials, lines, strict=True)
    )


def test_run_says_in_sentences_what_was_measured(folder, command):
    done = command("run", "--step", "prune ratio=0.5", "--path", folder)
    trial = Study.open(folder).trials[-1]
    assert done.status == 0
    assert f"Trial {trial.number}: Prune(ratio=0.5) (complete)" in done.out
    assert all(sentence in done.out for sentence in trial.sentences())
    assert trial.weight_hash in done.out


def test_a_trial_that_fails_says_why_and_the_exit_status_is_1(folder, command):
    done = command("run", "--step", "distill teacher=resnet20", "--path", folder)
    assert done.status == 1
    assert "(failed)" in done.out
    assert "resnet20 takes 32x32 images" in done.out


def test_compare_says_where_two_trials_differ(folder, command):
    done = command("compare", folder, 0, 1)
    assert done.out.startswith("Trial 1 against trial 0: ")
    assert all(name in done.out for name in ("conv1", "fc2", "SQNR dB"))
    assert command("compare", folder, 0, 99).status == 2


def test_why_says_where_the_time_goes(folder, command, monkeypatch, tmp_path):
    measured, asked = roofline, []

    def asking(runtime, threads, refresh):
        asked.append(refresh)
        return measured(runtime, threads, refresh)

    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path)
    monkeypatch.setattr("workbench.roofline.SECONDS", 0.02)
    monkeypatch.setattr("workbench.why.roofline", asking)
    for options in ([], ["--refresh"]):
        done = command("why", folder, 0, *options)
        assert done.out.startswith("This is the baseline")
        assert "This machine at best: " in done.out
    assert asked == [False, True]


def test_best_grid_and_sparse_say_what_was_measured(folder, command, monkeypatch):
    runtimes = {name: RUNTIMES[name] for name in ("onnxruntime", "torch")}
    monkeypatch.setattr("workbench.best.RUNTIMES", runtimes)
    monkeypatch.setattr("workbench.crossover.SECONDS", 0.02)
    monkeypatch.setattr("workbench.crossover.SHARES", (0.9,))
    said = command("best", folder, 0, "--budget", "60 s").out
    assert "Best here with 1 thread and batch 1: " in said
    assert "PyTorch (eager) " in said
    once = ("--threads", 1, "--batch", 4)
    assert "A call is fastest with 1 thread" in command("grid", folder, 0, *once).out
    assert " ms in PyTorch (eager)." in command("grid", folder, 0, *once, "--runtime", "torch").out
    assert command("sparse", folder).out.count("sparse computation ") == 4


def test_report_writes_one_page(folder, command, tmp_path):
    done = command("report", folder, "--out", tmp_path / "x.html", "--closely", 1)
    assert done.out.strip() == str(tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "lenet5 on mnist" in page
    assert page.count('<section class="closeup"') == 1
    assert command("report", folder, "--out", tmp_path / "x.html", "--closely", 99).status == 2


def test_export_writes_other_formats_with_code_that_runs_them(folder, command, tmp_path):
    done = command("export", folder, 1, "--out", tmp_path, "--format", "torch", "--format", "safetensors")
    assert done.out.count("the same answer as the module on ") == 2
    names = {"pt2", "torch.py", "safetensors", "plan.yaml", "safetensors.py"}
    helpers = {"lenet5_mnist_1_architecture.py", "planned.py"}
    assert {file.name for file in tmp_path.iterdir()} == {f"lenet5-mnist-1.{name}" for name in names} | helpers
    assert "lenet5-mnist-1.safetensors.py runs it, with planned.py and lenet5_mnist_1_architecture.py." in " ".join(
        done.out.split()
    )
    assert command("export", folder, 1, "--format", "tensorflow").status == 2


def test_export_writes_the_artifact_its_recipe_and_code_that_runs_it(folder, command, tmp_path):
    trial = Study.open(folder).trial(1)
    done = command("export", folder, 1, "--out", tmp_path / "new" / "here")
    files = [Path(line) for line in done.out.split()]
    assert [file.name for file in files] == ["lenet5-mnist-1.onnx", "lenet5-mnist-1.yaml", "lenet5-mnist-1.py"]
    assert files[0].read_bytes() == trial.artifact.read_bytes()
    assert Recipe.load(files[1]) == RECIPE

    alone = "import sys\nsys.modules.update(dict.fromkeys(['torch', 'onnx', 'workbench']))  # None: can't be imported\n"
    code = alone + files[2].read_text(encoding="utf-8") + "\nprint(logits.tolist())"
    ran = subprocess.run([sys.executable, "-c", code], cwd=files[0].parent, capture_output=True, text=True, check=True)
    dataset = trial.study.dataset
    expected = trial.load()(dataset.prepare(np.zeros((1, *dataset.sample_shape), np.uint8)))
    np.testing.assert_allclose(np.array(json.loads(ran.stdout)), expected, rtol=1e-5)


def test_an_own_model_and_dataset_are_named_by_their_factories(command, tmp_path, monkeypatch):
    (tmp_path / "own_parts.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    own = ("--model", "own_parts:model", "--dataset", "own_parts:data", "--path", "own")
    record = json.loads(command("run", "--step", "finetune epochs=2", *own, "--json").out)
    assert record["state"] == "complete"
    parts = sys.modules["own_parts"]
    study = Study(parts.model(), parts.data(), path="own")
    assert study.trial(record["number"]).metrics.accuracy.value > study.baseline.metrics.accuracy.value
    assert "no 'moodel'" in command("run", *STEPS_ASKED, "--model", "own_parts:moodel").err.replace("attribute ", "")
    assert "has its own model or dataset" in command("trials", "own").err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "Give a recipe file, --step or --goal"),
        (["run", "half.yaml", *STEPS_ASKED], "Give a recipe file, --step or --goal"),
        (["run", "half.yaml"], "half.yaml can't be read"),
        (["run", "--step", "prune ratio=1.5"], "Prune's ratio can't be 1.5. It must be at most 0.95."),
        (["run", "--step", "prune ration=0.5"], "Prune has no knob 'ration'. Did you mean 'ratio'?"),
        (["run", "--step", "prune 0.5"], "'0.5' is not a knob's value. Write knob=value, such as ratio=0.5."),
        (["run", "--step", "prun"], "There is no step called 'prun'. Did you mean 'prune'?"),
        (["run", "--step", "quantize", "--step", "quantize"], "Quantize can't follow Quantize"),
        (["run", "--step", "quantize weight_bits=7"], "has no kernels for static 7-bit weights"),
        (["run", "--step", "prune ratio=[1"], "'ratio=[1' is not a knob's value."),
        (["run", "--step", ""], "There is no step called ''."),
        (["run", *STEPS_ASKED, "--model", "lenet6"], "There is no model called 'lenet6'. Did you mean 'lenet5'?"),
        (["run", *STEPS_ASKED, "--dataset", "minst"], "There is no dataset called 'minst'. Did you mean 'mnist'?"),
        (["run", *STEPS_ASKED, "--runtime", "onnx"], "There is no runtime called 'onnx'. Did you mean 'onnxruntime'?"),
        (["run", *STEPS_ASKED, "--device", "tpu"], "can't use the device 'tpu' here"),
        (["run", *STEPS_ASKED, "--model", "nowhere:net"], "'nowhere:net' can't be imported: No module named 'nowhere'"),
        (["run", *STEPS_ASKED, "--path", "file/study"], "file/study can't be used"),
        (["trials", "none"], "There is no study in none."),
        (["export", "none", "0"], "There is no study in none."),
        (["data", "minst"], "There is no dataset called 'minst'. Did you mean 'mnist'?"),
        (["data", "mnist", "--download"], "There is no dataset to download called 'mnist'"),
    ],
)
def test_a_refusal_is_one_sentence_with_a_hint_and_exit_status_2(arguments, said, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    done = command(*arguments)
    assert done.status == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert done.out == ""
    assert not list(tmp_path.rglob("trials/*"))  # nothing was begun


@pytest.mark.parametrize(
    ("trial", "out", "said"),
    [
        (99, ".", "There is no trial 99"),
        (1, "file", "file can't be written"),
        (1, "file/within", "file/within can't be written"),
    ],
)
def test_an_export_that_cannot_be_is_refused(trial, out, said, folder, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    done = command("export", folder, trial, "--out", out)
    assert (done.status, done.out) == (2, "")
    assert said in done.err


def test_the_installed_command_shows_no_traceback():
    asked = [sys.executable, "-m", "workbench.cli", "run", "--step", "prune ratio=1.5"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Prune's ratio can't be 1.5. It must be at most 0.95.\n"


def test_steps_lists_every_knob_of_every_step_with_default_and_help(command):
    said = command("steps").out
    for name, step in STEPS.items():
        assert f"{name}: {step.summary()}" in said
        for knob in knobs(step):
            (line,) = {line for line in said.splitlines() if line.startswith(f"  {knob.name}=") and knob.help in line}
            assert f"{knob.name}={knob.default}  (" in line


def test_data_says_what_a_dataset_holds(command, mnist: Dataset):
    said = command("data", "mnist").out
    for name in ("train", "validation", "test"):
        assert f"{name}: {len(getattr(mnist, name)):,} samples of shape (1, 28, 28)" in said


def test_help_names_every_command(command):
    said = command("--help").out
    assert all(name in said for name in "run export trials steps doctor train data app lab".split())
