"""A trial that ships as a packed file is loaded, measured, shown and tested as that file."""

import dataclasses

import numpy as np
import pytest

from workbench import Finetune, Pack, Prune, Recipe, ShareWeights, Study, Trial
from workbench.carry_out import rebuild, setting
from workbench.measure import measure
from workbench.runtimes import PACKED

SHARED = Recipe([Prune(ratio=0.9, granularity="weight"), ShareWeights(bits=3, conv_bits=4), Finetune(epochs=1)])


@pytest.fixture(scope="module")
def study(few_digits, digits, tmp_path_factory) -> Study:
    return Study("lenet5", dataclasses.replace(few_digits, test=digits.test), path=tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def trial(study) -> Trial:
    trial = study.run(SHARED)
    assert trial.state == "complete", trial.reason
    return trial


def test_the_file_is_packed_and_its_bytes_are_the_size(trial, study):
    assert trial.artifact.name == "model.packed"
    assert trial.metrics.size_bytes == trial.artifact.stat().st_size
    assert trial.metrics.size_bytes < study.baseline.metrics.size_bytes / 20
    assert trial.runtime is PACKED
    assert study.baseline.runtime is study.runtime


def test_it_is_real_so_its_speed_is_measured_and_the_note_says_why_it_is_no_better(trial):
    assert not trial.metrics.simulated
    assert trial.metrics.speedup is not None
    assert any("not the model faster" in note for note in trial.notes)


def test_the_file_answers_as_the_module(trial, study):
    inputs = study.dataset.prepare(study.dataset.validation.inputs[:50])
    assert np.array_equal(trial.load()(inputs).argmax(1), trial.answers()[:50])
    assert trial.metrics.parity.same_answers == 1
    weight = trial.module().get_parameter("fc1.weight")
    assert len(weight[weight != 0].unique()) <= 8


def test_it_is_downloaded_under_its_suffix_with_code_that_decodes_it(trial):
    assert trial.download_name() == f"lenet5-mnist-{trial.number}.packed"
    code, helpers = trial.snippet(), trial.helpers()
    assert "workbench" not in code
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    assert "from unpacking import" in code
    assert "def unpack" in helpers["unpacking.py"]


def test_the_test_split_is_opened_with_the_packed_file(trial, study):
    metrics = study.test(trial)
    assert (metrics.split, metrics.size_bytes) == ("test", trial.metrics.size_bytes)


def test_what_is_simulated_ships_packed_without_a_claim_to_speed(trial, study):
    work = rebuild(trial)
    work.simulated = ["No kernel computes with this."]
    metrics, _ = measure(trial.artifact, work, study.dataset, setting(study))
    assert metrics.speedup is None and metrics.latency is None


def test_where_another_runtime_runs_the_baseline_no_speed_is_compared(few_digits, tmp_path):
    study = Study("lenet5", few_digits, runtime="torch", path=tmp_path)
    trial = study.run(Recipe([Pack()]))
    assert trial.artifact.suffix == ".packed"
    assert trial.metrics.speedup is None
    assert any("not compared" in note for note in trial.notes)
    assert trial.metrics.size_bytes < study.baseline.metrics.size_bytes, "also without any loss"
