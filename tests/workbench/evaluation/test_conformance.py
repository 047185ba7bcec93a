"""What every task keeps to: on its own kind of labels, a better model has a better score, and is told to be better."""

import numpy as np
import pytest
import torch

from workbench import Dataset, Finetune, WorkbenchError
from workbench.evaluation import TASKS, task_of

COUNT = 60
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.standard_normal((COUNT, 6)).astype(np.float32)
TOKENS = RANDOM.integers(0, 5, (COUNT, 8))
LABELS = {
    "classification": RANDOM.integers(0, 4, COUNT),
    "regression": RANDOM.standard_normal((COUNT, 2)),
    "language": RANDOM.integers(0, 5, (COUNT, 8)),
}


@pytest.fixture(params=TASKS)
def dataset(request) -> Dataset:
    inputs = TOKENS if TASKS[request.param].tokens else INPUTS
    labels = LABELS[request.param]
    return Dataset(train=(inputs, labels), validation=(inputs, labels), task=request.param)


def _outputs(dataset: Dataset, noise: float) -> np.ndarray:
    """What a model gives that is right, but for some noise."""
    labels = dataset.validation.labels
    right = labels if dataset.task == "regression" else 5 * np.eye(len(dataset.classes))[labels]
    return (right + noise * np.random.default_rng(1).standard_normal(right.shape)).astype(np.float32)


def _answers(dataset: Dataset, noise: float) -> np.ndarray:
    task = task_of(dataset)
    return task.answers(task.rows(_outputs(dataset, noise), dataset.validation.labels))


def test_the_score_is_better_for_the_better_model_and_lies_in_its_interval(dataset):
    task, labels = task_of(dataset), dataset.validation.labels
    good, bad = (task.score(_answers(dataset, noise), labels) for noise in (0.5, 6.0))
    assert good.utility > bad.utility
    assert (good.value - bad.value) * task.better > 0
    for found in (good, bad):
        assert found.low <= found.value <= found.high
        assert found.value == pytest.approx(task.value(_answers(dataset, 0.5 if found is good else 6.0), labels))
        assert (found.name, found.better) == (task.score_name, task.better)


def test_a_change_is_told_both_ways_and_none_where_there_is_none(dataset):
    task, labels = task_of(dataset), dataset.validation.labels
    good, bad = _answers(dataset, 0.5), _answers(dataset, 6.0)
    worse, better, same = (
        task.change(good, bad, labels),
        task.change(bad, good, labels),
        task.change(good, good, labels),
    )
    assert worse.gain < 0 < better.gain
    assert worse.p_value < 0.05 and better.p_value < 0.05
    assert (worse.fixed, worse.broken) == (better.broken, better.fixed)
    assert (same.fixed, same.broken, same.gain, same.p_value) == (0, 0, 0.0, 1.0)
    fixed, broken, otherwise = task.flips(good, bad, labels)
    assert (len(fixed), len(broken)) == (worse.fixed, worse.broken)
    assert not set(fixed) & set(broken) and not set(otherwise) & set(broken)


def test_the_loss_is_smaller_for_the_better_model_and_its_sum_is_that_of_the_samples(dataset):
    task, labels = task_of(dataset), torch.from_numpy(dataset.validation.labels)
    good, bad = (torch.from_numpy(_outputs(dataset, noise)) for noise in (0.5, 6.0))
    assert task.loss(good, labels) < task.loss(bad, labels)
    each = [task.loss(good[i : i + 1], labels[i : i + 1], reduction="sum") for i in range(COUNT)]
    assert task.loss(good, labels, reduction="sum").item() == pytest.approx(float(sum(each)), rel=1e-4)
    assert task.loss(good, labels).item() == pytest.approx(float(sum(each)) / COUNT, rel=1e-4)


def test_imitating_itself_costs_nothing(dataset):
    task = task_of(dataset)
    good, bad = (torch.from_numpy(_outputs(dataset, noise)) for noise in (0.5, 6.0))
    assert task.imitation(good, good, "soft", 2.0).item() == pytest.approx(0, abs=1e-5)
    assert task.imitation(bad, good, "soft", 2.0) > 0.01


def test_outputs_of_another_shape_are_refused(dataset):
    task = task_of(dataset)
    task.check_outputs(_outputs(dataset, 0.5).shape, dataset)
    for shape in ((COUNT, 1), (COUNT, 8, 2), (COUNT,)):
        with pytest.raises(WorkbenchError, match="output has shape"):
            task.check_outputs(shape, dataset)


def test_models_agree_with_themselves_only(dataset):
    task = task_of(dataset)
    assert task.alike(_outputs(dataset, 0.5), _outputs(dataset, 0.5)) == 1
    assert task.alike(_outputs(dataset, 0.5), _outputs(dataset, 20.0)) < 0.8


def test_quality_is_told_in_a_sentence_and_survives_storage(dataset):
    task, labels = task_of(dataset), dataset.validation.labels
    quality = task.quality(task.rows(_outputs(dataset, 1.0), labels), labels)
    assert type(quality).model_validate_json(quality.model_dump_json()) == quality
    assert quality.sentence(quality).endswith(".")


def test_labels_and_answers_are_texts(dataset):
    task = task_of(dataset)
    assert isinstance(task.label_text(dataset.validation.labels[0], dataset), str)
    assert task.answer_text(_answers(dataset, 0.5)[0], dataset)
    assert str(COUNT) in task.said((1, 2), COUNT)


def test_knobs_made_for_classifiers_are_refused_elsewhere(dataset):
    step = Finetune(label_smoothing=0.1)
    if dataset.task == "classification":
        task_of(dataset).check_training(step)
    else:
        with pytest.raises(WorkbenchError, match="Label smoothing is made for classifiers"):
            task_of(dataset).check_training(step)


def test_the_task_is_told_from_the_labels_where_that_is_clear():
    told = {name: Dataset(train=(TOKENS if name == "language" else INPUTS, y)).task for name, y in LABELS.items()}
    assert told == {name: name for name in LABELS}
    whole = np.arange(COUNT, dtype=np.float64)
    assert Dataset(train=(INPUTS, whole)).task == "classification"  # as ever: what is ambiguous is declared
    assert Dataset(train=(INPUTS, whole), task="regression").train.labels.shape == (COUNT - COUNT // 10, 1)


@pytest.mark.parametrize(
    ("task", "inputs", "labels", "said"),
    [
        ("regression", INPUTS, [None] * COUNT, "are not numbers"),
        ("regression", INPUTS, np.full(COUNT, np.nan), "are not numbers"),
        ("regression", INPUTS, np.ones(COUNT), "all the same, so no R²"),
        ("language", TOKENS, TOKENS + 0.5, "not rows of whole numbers"),
        ("language", TOKENS, np.full_like(TOKENS, -100), "has no token to judge"),
        ("language", TOKENS, np.where(TOKENS == 0, -7, TOKENS), "has the token -7"),
        ("language", INPUTS, TOKENS, "not all tokens from 0"),
        ("guessing", INPUTS, TOKENS, "no task called 'guessing'"),
    ],
)
def test_labels_that_a_task_does_not_know_are_refused(task, inputs, labels, said):
    with pytest.raises(WorkbenchError, match=said):
        Dataset(train=(inputs, labels), task=task)
