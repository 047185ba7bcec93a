"""A study: its baseline, every trial ever run, and nothing lost."""

import hashlib
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import Prune, Quantize, Recipe, Study, WorkbenchError
from workbench.estimates import Estimate, share_of
from workbench.metrics import Metrics, Parity
from workbench.weights import weight_hash


def test_the_baseline_is_trial_0_and_changes_nothing(study, lenet5):
    baseline = study.baseline
    assert (baseline.number, baseline.state, len(baseline.recipe)) == (0, "complete", 0)
    assert baseline.weight_hash == weight_hash(lenet5)
    assert baseline.metrics.accuracy.value > 0.98
    assert baseline.metrics.speedup is None


def test_every_trial_is_kept_with_how_it_ended(study):
    assert [trial.state for trial in study.trials] == ["complete", "complete", "failed", "cancelled"]
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    assert all(trial.finished and trial.seconds > 0 for trial in study.trials)


def test_a_pruned_and_quantized_trial_is_smaller_and_still_right(study):
    before, after = study.baseline.metrics, study.trial(1).metrics
    assert after.size_bytes < before.size_bytes / 6
    assert after.macs < before.macs / 3
    assert after.parameters < before.parameters / 3
    assert after.accuracy.value > 0.9
    assert after.baseline_latency.value > 0
    assert after.speedup.low <= after.speedup.value <= after.speedup.high


@pytest.mark.parametrize("number", [0, 1])
def test_the_size_and_the_checksum_are_those_of_the_file(study, number):
    trial, record = study.trial(number), study.storage.record(number)
    content = trial.artifact.read_bytes()
    assert trial.metrics.size_bytes == len(content)
    assert record.artifact_sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("number", [0, 1])
def test_the_module_of_a_trial_is_rebuilt_with_the_very_weights(study, number):
    assert weight_hash(study.trial(number).module()) == study.trial(number).weight_hash


def test_the_loaded_artifact_gives_the_stored_answers(study):
    trial, validation = study.trial(1), study.dataset.validation
    answers = trial.load()(study.dataset.prepare(validation.inputs)).argmax(1)
    assert np.array_equal(answers, trial.answers())
    assert trial.metrics.accuracy.value == (answers == validation.labels).mean()


def test_the_recipe_lies_beside_the_artifact(study):
    trial = study.trial(1)
    assert Recipe.load(trial.artifact.parent / "recipe.yaml") == trial.recipe


def test_the_progress_of_a_trial_is_kept(study):
    told = study.trial(1).progress
    assert list(dict.fromkeys(fact["name"] for fact in told)) == ["Prune", "Finetune", "Quantize", "Export", "Measure"]
    assert [fact["stage"] for fact in told] == sorted(fact["stage"] for fact in told)
    assert {fact["stages"] for fact in told} == {5}
    assert any("loss" in fact for fact in told)
    assert any("accuracy" in fact for fact in told)
    assert (told[-1]["share"], told[-1]["message"]) == (1.0, "Done")


def test_a_failed_trial_says_why_and_has_nothing_to_give(study):
    trial = study.trial(2)
    assert "resnet20 takes 32x32 images, this study's are 28 pixels wide." in trial.reason
    assert trial.sentences() == [trial.reason]
    assert trial.metrics is None
    assert trial.artifact is None
    for attempt in (trial.module, trial.load, trial.answers, lambda: study.test(trial)):
        with pytest.raises(WorkbenchError, match=r"Trial 2 has no|answers of trial 2 are missing"):
            attempt()


def test_a_cancelled_trial_stopped_in_its_first_batches(study):
    trial = study.trial(3)
    assert trial.reason == "Cancelled by the user."
    assert max(fact["share"] for fact in trial.progress) < 0.2


def test_the_sentences_compare_with_the_baseline(study):
    said = study.trial(1).sentences()
    assert said[0].startswith("Accuracy ")
    for part in ("top 5", "times smaller", "on 1 thread", "answers as the model it was made from"):
        assert sum(part in sentence for sentence in said) == 1


@pytest.mark.parametrize("number", [0, 1])
def test_the_snippet_runs_the_downloaded_file_from_raw_inputs_on(study, number, tmp_path, monkeypatch):
    trial = study.trial(number)
    shutil.copy(trial.artifact, tmp_path / trial.download_name())
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    assert len([line for line in trial.snippet().splitlines() if line.strip()]) <= 10
    assert not trial.helpers()
    exec(trial.snippet(), names)
    black = np.zeros((1, 1, 28, 28), np.uint8)
    assert np.allclose(names["logits"], trial.load()(study.dataset.prepare(black)), atol=1e-4)


def test_the_test_split_is_opened_by_one_act_and_every_opening_is_counted(study):
    before, trial = study.test_openings, study.trial(1)
    metrics = study.test(trial)
    study.test(study.baseline)
    assert study.test_openings == before + 2
    part = study.dataset.test
    answers = trial.load()(study.dataset.prepare(part.inputs)).argmax(1)
    assert (metrics.split, metrics.samples) == ("test", 500)
    assert metrics.accuracy.value == (answers == part.labels).mean()
    assert study.trial(1).metrics.split == "validation"


def test_the_same_study_is_found_again_with_all_its_trials(study, digits):
    for again in (Study("lenet5", digits, path=study.path), pickle.loads(pickle.dumps(study))):
        assert [trial.state for trial in again.trials] == [trial.state for trial in study.trials]
        assert again.baseline.number == 0
        assert again.settings == study.settings


def test_a_study_with_its_own_data_is_opened_with_them(study):
    with pytest.raises(WorkbenchError, match=r"has its own model or dataset.*Open it with wb\.Study"):
        Study.open(study.path)


def test_where_there_is_no_study_none_is_opened(tmp_path):
    with pytest.raises(WorkbenchError, match="There is no study in"):
        Study.open(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WorkbenchError, match=r"can't be used: .*Choose a folder that you can write to"):
        Study("lenet5", "mnist", path=tmp_path / "file" / "study")


@pytest.mark.parametrize("shape", [(28, 28), (1, 1, 32, 32), (3, 28, 28)])
def test_an_example_of_another_shape_is_refused(tmp_path, digits, lenet5, shape):
    with pytest.raises(
        WorkbenchError, match=r"The example input has shape .*, the dataset's inputs have \(1, 28, 28\)"
    ):
        Study(lenet5, digits, path=tmp_path, example_input=np.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 28, 28), (4, 1, 28, 28)])
def test_an_example_or_a_batch_of_them_is_taken(tmp_path, digits, lenet5, shape):
    assert Study(lenet5, digits, path=tmp_path, example_input=np.zeros(shape)).trials == []


def test_bits_without_kernels_are_refused_before_any_work(study):
    before = len(study.trials)
    with pytest.raises(WorkbenchError, match=r"no kernels for static 7-bit weights.*It has: static 8-bit"):
        study.run(Recipe([Prune(), Quantize(weight_bits=7)]))
    assert len(study.trials) == before


def _metrics(right: int, size: int, speed: float) -> Metrics:
    counts = dict.fromkeys(("size_bytes", "theoretical_bytes", "macs", "parameters", "nonzero_parameters"), size)
    parity = Parity(samples=1, largest_difference=0.0, same_answers=1.0)
    ratio = Estimate(value=speed, low=speed, high=speed)
    return Metrics(
        split="validation", samples=100, accuracy=share_of(right, 100), speedup=ratio, parity=parity, **counts
    )


FIGURES = st.tuples(st.integers(0, 100), st.integers(1, 5), st.sampled_from([0.5, 1.0, 2.0, 4.0]))


@settings(max_examples=30)
@given(st.lists(FIGURES, max_size=8))
def test_on_the_pareto_front_is_exactly_who_is_beaten_by_nobody(tmp_path_factory, digits, figures):
    study = Study("lenet5", digits, path=tmp_path_factory.mktemp("pareto"))
    for right, size, speed in figures:
        record = study.storage.add(Recipe().to_dict(), Recipe().hash)
        record.state, record.metrics = "complete", _metrics(right, size, speed)
        study.storage.save(record)

    def beats(one: tuple, other: tuple) -> bool:
        better = (one[0] >= other[0], one[1] <= other[1], one[2] >= other[2])
        return all(better) and one != other

    front = {index for index, own in enumerate(figures) if not any(beats(other, own) for other in figures)}
    assert {trial.number for trial in study.pareto(["accuracy", "size_bytes", "latency"])} == front


def test_a_study_makes_a_trial_anew_only_where_it_changed(tmp_path, digits):
    study = Study("lenet5", digits, path=tmp_path / "study")
    for _ in range(2):
        study.storage.add(Recipe().to_dict(), Recipe().hash)
    first, second = study.trials
    changed = study.storage.record(1)
    changed.state = "failed"
    study.storage.save(changed)
    assert study.trials[0] is first
    assert (second.state, study.trials[1].state) == ("waiting", "failed")
    study.label(1, deleted=True)
    assert study.trials == [first]


def test_a_trial_whose_speed_is_not_claimed_is_on_no_front_of_latency(tmp_path, digits):
    study = Study("lenet5", digits, path=tmp_path / "study")
    simulated = _metrics(99, 1, 1.0).model_copy(update={"speedup": None, "simulated": ["Weights of 3 bits."]})
    for recipe, metrics in ((Recipe(), _metrics(90, 5, 1.0)), (Recipe([Prune()]), simulated)):
        record = study.storage.add(recipe.to_dict(), recipe.hash)
        record.state, record.metrics = "complete", metrics
        study.storage.save(record)
    assert [trial.number for trial in study.pareto(["accuracy", "latency"])] == [0]
    assert [trial.number for trial in study.pareto(["accuracy", "size_bytes"])] == [1]


def test_an_unknown_objective_is_refused(study):
    with pytest.raises(WorkbenchError, match=r"no objective called 'size'. Did you mean 'size_bytes'"):
        study.pareto(["size"])


def test_failed_trials_are_never_on_the_front(study):
    assert {trial.number for trial in study.pareto()} <= {0, 1}
