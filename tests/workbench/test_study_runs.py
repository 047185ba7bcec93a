"""Studies that run: your own module in every runtime, failures of every kind, and a kill."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from workbench import Dataset, Finetune, Prune, Quantize, Recipe, Study, WorkbenchError
from workbench.runtimes import RUNTIMES
from workbench.weights import weight_hash


class Own(nn.Module):
    """A convolutional network of somebody else."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        self.classify = nn.Linear(8 * 6 * 6, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x).flatten(1))


class Moody(Own):
    """Answers, but never learns."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            raise ZeroDivisionError("not today")
        return super().forward(x)


@pytest.fixture(scope="module")
def small(digits) -> Dataset:
    """Digits of 14x14 pixels under a name of their own."""
    halves = {
        k: (getattr(digits, k).inputs[:, :, ::2, ::2], getattr(digits, k).labels) for k in ("train", "validation")
    }
    return Dataset(**halves, name="small digits")


@pytest.fixture
def own() -> nn.Module:
    torch.manual_seed(0)
    return Own()


# compiling three models takes most of a minute
@pytest.mark.parametrize("runtime", [r for name, r in RUNTIMES.items() if name != "inductor"], ids=lambda r: r.name)
def test_your_own_module_goes_all_the_way_and_the_same_recipe_gives_the_same_file(tmp_path, small, own, runtime):
    before = weight_hash(own)
    study = Study(own, small, runtime=runtime.name, path=tmp_path / "study", example_input=torch.zeros(1, 1, 14, 14))
    steps = [Prune(ratio=0.5), Finetune(epochs=2, learning_rate=0.01)]
    recipe = Recipe([*steps, Quantize()] if runtime.kernels else steps)
    one, two = study.run(recipe), study.run(recipe)

    assert [trial.state for trial in study.trials] == ["complete"] * 3
    assert study.baseline.metrics.accuracy.value < 0.4 < one.metrics.accuracy.value
    assert one.metrics.size_bytes < study.baseline.metrics.size_bytes
    assert one.weight_hash == two.weight_hash == weight_hash(one.module()) != study.baseline.weight_hash
    assert one.artifact.read_bytes() == two.artifact.read_bytes()
    assert one.metrics.accuracy == two.metrics.accuracy
    assert one.load()(small.prepare(small.validation.inputs[:7])).shape == (7, 10)
    assert weight_hash(own) == before

    again = Study(own, small, runtime=runtime.name, path=tmp_path / "study")
    assert [trial.weight_hash for trial in again.trials] == [trial.weight_hash for trial in study.trials]
    with torch.no_grad():
        own.classify.bias += 1
    with pytest.raises(WorkbenchError, match="other weights or other data"):
        Study(own, small, runtime=runtime.name, path=tmp_path / "study")


def test_nothing_that_goes_wrong_kills_a_study(tmp_path, small):
    study = Study(Moody(), small, path=tmp_path / "study")
    failed = study.run(Recipe([Finetune()]))
    assert failed.reason == "Something unexpected went wrong: ZeroDivisionError: not today"
    assert "not today" in (study.storage.folder(1) / "traceback.txt").read_text()

    def interrupt(facts: dict) -> None:
        raise KeyboardInterrupt

    assert study.run(Recipe([Prune()]), on_progress=interrupt).reason == "Interrupted from the keyboard."
    study.run(Recipe([Prune()]))
    assert [trial.state for trial in study.trials] == ["complete", "failed", "cancelled", "complete"]
    with pytest.raises(WorkbenchError, match="no test split"):
        study.test(study.trial(3))


def test_a_model_with_nan_weights_has_no_baseline_and_says_why(tmp_path, small, own):
    with torch.no_grad():
        own.classify.weight[0, 0] = float("nan")
    study = Study(own, small, path=tmp_path / "study")
    with pytest.raises(WorkbenchError, match=r"baseline could not be measured\. .*NaN"):
        _ = study.baseline
    assert [trial.state for trial in study.trials] == ["failed"]


def _wait_for(happens, process: subprocess.Popen) -> None:
    while not happens():
        assert process.poll() is None, "the process ended by itself"
        time.sleep(0.2)


def test_a_killed_process_loses_only_the_trial_that_it_ran(tmp_path):
    path = tmp_path / "study"
    code = (
        "from workbench import *\n"
        f"study = Study('lenet5', 'mnist', path={str(path)!r})\n"
        "study.run(Recipe([Finetune(epochs=200)]))"
    )

    def learns() -> bool:
        progress = path / "trials" / "0001" / "progress.jsonl"
        return progress.exists() and "loss" in progress.read_text(encoding="utf-8")

    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        _wait_for(learns, process)
        assert [trial.state for trial in Study.open(path).trials] == ["complete", "running"]
    finally:
        process.kill()
        process.wait()

    study = Study.open(path)
    assert [trial.state for trial in study.trials] == ["complete", "failed"]
    assert "ended from outside" in study.trial(1).reason
    assert study.baseline.metrics.samples == 5_000
    trial = study.run(Recipe([Prune(ratio=0.2, granularity="weight")]))
    assert (trial.number, trial.state) == (2, "complete")
    assert Path(trial.artifact).stat().st_size == trial.metrics.size_bytes


def test_a_training_that_diverges_says_in_which_step_of_the_recipe(tmp_path):
    steep = Dataset(train=(np.random.default_rng(0).random((400, 4), np.float32) * 1e6, np.arange(400) % 2))
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2))
    study = Study(module, steep, runtime="torch", path=tmp_path / "study")
    calm = Finetune(learning_rate=1e-5)
    wild = Finetune(learning_rate=1.0, optimizer="sgd", warmup=0.0, epochs=20)
    trial = study.run(Recipe([calm, wild]))
    assert trial.state == "failed"
    assert trial.reason.startswith("Finetune, step 2 of the recipe, diverged in epoch")
