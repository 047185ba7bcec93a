"""The course of a distillation: who teaches, who learns, from what."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Cancelled, Dataset, Distill, Finetune, Prune, Recipe, Study, WorkbenchError, carry_out
from workbench.data import load_dataset
from workbench.distillation.students import reset
from workbench.machine import processors
from workbench.models import MODELS
from workbench.steps.base import Context, Work
from workbench.training import accuracy
from workbench.weights import weight_hash


def _fresh(name: str = "lenet5", seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return MODELS[name].build(1, 10)


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_a_student_learns_from_a_teacher_alone(few_digits, lenet5):
    work = Work(_fresh())
    Distill(epochs=6, alpha=1.0, learning_rate=0.003).apply(work, Context(few_digits, lenet5))
    assert accuracy(work.module, few_digits, few_digits.validation) > 0.6


def test_an_own_module_of_any_kind_can_be_the_student(few_digits, lenet5):
    torch.manual_seed(0)
    work = Work(nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.Tanh(), nn.Linear(32, 10)))
    Distill(epochs=6, alpha=1.0, learning_rate=0.01).apply(work, Context(few_digits, lenet5))
    assert accuracy(work.module, few_digits, few_digits.validation) > 0.6


def test_the_teacher_stays_as_it_was(few_digits, lenet5):
    before = weight_hash(lenet5)
    Distill(features="hints").apply(Work(_fresh()), Context(few_digits, lenet5))
    assert weight_hash(lenet5) == before
    assert all(p.grad is None and p.requires_grad for p in lenet5.parameters())
    assert not any(layer._forward_hooks for layer in lenet5.modules())


def test_with_a_feature_weight_alone_the_loss_is_cross_entropy_and_features(few_digits, lenet5):
    """alpha 0 and weight 0 is fine-tuning, to the last bit; a weight makes a difference."""
    hashes = []
    for step in (Finetune(), *(Distill(alpha=0.0, features="attention", feature_weight=w) for w in (0.0, 1.0))):
        work = Work(_fresh())
        step.apply(work, Context(few_digits, lenet5))
        hashes.append(weight_hash(work.module))
    assert hashes[0] == hashes[1] != hashes[2]


def test_self_distillation_is_taught_by_the_model_as_it_stands_before_the_step(few_digits, lenet5):
    start, hashes = _fresh(seed=3), []
    for teacher, baseline in (("self", lenet5), ("baseline", start), ("baseline", lenet5)):
        work = Work(copy.deepcopy(start))
        Distill(teacher=teacher, alpha=0.3, learning_rate=0.003).apply(work, Context(few_digits, baseline))
        hashes.append(weight_hash(work.module))
    assert hashes[0] == hashes[1] != hashes[2]
    assert weight_hash(start) not in hashes


def test_a_born_again_network_starts_from_fresh_weights_and_learns_from_its_former_self(few_digits, lenet5):
    work = Work(copy.deepcopy(lenet5))
    Distill(teacher="self", fresh=True, epochs=4, alpha=1.0, learning_rate=0.003).apply(
        work, Context(few_digits, _fresh(seed=9))
    )
    distance = (work.module.fc1.weight - lenet5.fc1.weight).norm() / lenet5.fc1.weight.norm()
    assert distance > 0.5
    assert accuracy(work.module, few_digits, few_digits.validation) > 0.5


def test_fresh_weights_keep_the_shape_that_pruning_gave_and_depend_on_the_seed_only(few_digits, lenet5):
    def made(seed: int) -> Work:
        work, context = Work(copy.deepcopy(lenet5)), Context(few_digits, lenet5, seed)
        Prune(ratio=0.75).apply(work, context)
        Distill(fresh=True).apply(work, context)
        return work

    one, same, other = made(0), made(0), made(1)
    assert one.module.conv1.weight.shape == (5, 1, 5, 5)
    assert one.plan
    assert weight_hash(one.module) == weight_hash(same.module) != weight_hash(other.module)


def test_weights_that_cannot_be_drawn_anew_are_named():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))
            self.inner = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(self.scale * x)

    assert reset(nn.Sequential(Scaled(), nn.BatchNorm1d(2))) == ["0.scale"]


def test_assistants_lie_between_teacher_and_student_and_each_teaches_the_next(few_digits, lenet5):
    context = Context(few_digits, lenet5)
    work = Work(copy.deepcopy(lenet5))
    Prune(ratio=0.8).apply(work, context)
    ours, theirs, straight = _size(work.module), _size(lenet5), copy.deepcopy(work)
    Distill(assistants=2, epochs=1).apply(work, context)
    said = [int(note.split(": ")[1].split(" ")[0].replace(",", "")) for note in work.notes if note.startswith("Assist")]
    assert ours < said[1] < said[0] < theirs
    expected = [theirs * (ours / theirs) ** (k / 3) for k in (1, 2)]
    assert np.log(said) == pytest.approx(np.log(expected), abs=0.15)  # equal steps by factors
    assert _size(work.module) == ours
    Distill(epochs=1).apply(straight, context)
    assert weight_hash(straight.module) != weight_hash(work.module)


def test_progress_with_assistants_goes_on_from_one_to_the_next(few_digits, lenet5):
    shares: list[float] = []
    context = Context(few_digits, lenet5, report=lambda **facts: shares.append(facts.get("share", math.nan)))
    work = Work(copy.deepcopy(lenet5))
    Prune(ratio=0.8).apply(work, context)
    Distill(assistants=1).apply(work, context)
    told = [share for share in shares if not math.isnan(share)]
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)


def test_a_student_that_is_not_smaller_leaves_no_room_for_an_assistant(few_digits, lenet5):
    with pytest.raises(WorkbenchError, match=r"no size for an assistant: the student has 431,080 parameters"):
        Distill(assistants=1).apply(Work(_fresh()), Context(few_digits, lenet5))


def test_from_calibration_samples_alone_no_label_is_ever_looked_at(few_digits, lenet5):
    wrong = (few_digits.train.inputs, 9 - few_digits.train.labels)
    misled = Dataset(train=wrong, validation=(few_digits.validation.inputs, 9 - few_digits.validation.labels))
    hashes = []
    for dataset in (few_digits, misled):
        work = Work(_fresh())
        Distill(data="calibration", epochs=5, learning_rate=0.003).apply(work, Context(dataset, lenet5))
        hashes.append(weight_hash(work.module))
    assert hashes[0] == hashes[1]
    assert accuracy(work.module, few_digits, few_digits.validation) > 0.6
    assert "512 calibration samples, without any label" in work.notes[0]


def test_from_calibration_samples_alone_nothing_else_of_the_training_set_is_seen(digits, lenet5):
    step, hashes = Distill(data="calibration"), []
    chosen = np.random.default_rng(0).permutation(2_000)[:512]
    inputs = digits.train.inputs.copy()
    inputs[np.setdiff1d(np.arange(2_000), chosen)] = 0
    for dataset in (digits, Dataset(train=(inputs, digits.train.labels), validation=digits.validation)):
        work = Work(_fresh())
        step.apply(work, Context(dataset, lenet5))
        hashes.append(weight_hash(work.module))
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("teacher", ["baseline", "self"])
def test_a_teacher_of_other_classes_is_refused(few_digits, teacher):
    other = MODELS["lenet5"].build(1, 7)
    student = other if teacher == "self" else _fresh()
    with pytest.raises(WorkbenchError, match=r"teacher '\w+' tells 7 classes apart, the dataset has 10\."):
        Distill(teacher=teacher).apply(Work(student), Context(few_digits, other))


def test_a_zoo_teacher_of_other_classes_is_refused(few_digits):
    four = few_digits.train.labels < 4
    some = Dataset(train=(few_digits.train.inputs[four], few_digits.train.labels[four]), name="mnist")
    student = MODELS["lenet5"].build(1, 4)
    with pytest.raises(WorkbenchError, match=r"teacher 'lenet300' tells 10 classes apart, the dataset has 4\."):
        Distill(teacher="lenet300").apply(Work(student), Context(some, student))


def test_a_zoo_teacher_of_as_many_but_other_classes_is_refused(few_digits, lenet5):
    train, context = (few_digits.train.inputs, few_digits.train.labels), Context(few_digits, lenet5)
    names = ["0", "1", "2", "3", "4", "five", "6", "7", "8", "9"]
    other = Dataset(train=train, classes=names, name="mnist")
    with pytest.raises(WorkbenchError, match="teacher 'lenet300' calls class 5 '5', the dataset 'five'"):
        Distill(teacher="lenet300").check(replace(context, dataset=other))
    Distill(teacher="lenet300").check(context)
    garments = Dataset(train=train, name="fashion_mnist")  # without names, the number of classes has to do
    Distill(teacher="lenet5").check(replace(context, dataset=garments))


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_the_zoo_knows_the_names_of_the_classes_that_its_models_tell_apart(dataset):
    known = [model.classes(dataset) for model in MODELS.values() if model.weights(dataset).exists()]
    assert known and all(classes == load_dataset(dataset).classes for classes in known)


def test_a_student_of_other_classes_is_refused(few_digits, lenet5):
    with pytest.raises(WorkbenchError, match=r"The student tells 7 classes apart, the dataset has 10\."):
        Distill().apply(Work(MODELS["lenet5"].build(1, 7)), Context(few_digits, lenet5))


def test_a_teacher_that_takes_other_inputs_is_refused(few_digits):
    with pytest.raises(WorkbenchError, match=r"can't take inputs of shape \(1, 28, 28\)"):
        Distill().apply(Work(_fresh()), Context(few_digits, nn.Linear(5, 10)))


def test_an_unknown_teacher_is_refused_with_the_nearest_one(few_digits, lenet5):
    with pytest.raises(WorkbenchError, match=r"no model called 'lenet50'\. Did you mean 'lenet5'"):
        Distill(teacher="lenet50").apply(Work(lenet5), Context(few_digits, lenet5))


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Distill(student="resnet20"), "resnet20 takes 32x32 images"),
        (Distill(student="lenet9"), "no model called 'lenet9'"),
        (Distill(teacher="resnet20"), "resnet20 takes 32x32 images"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(few_digits, lenet5, step, said):
    with pytest.raises(WorkbenchError, match=said):
        step.check(Context(few_digits, lenet5))


@pytest.mark.parametrize(
    ("first", "step"),
    [
        (Prune(ratio=0.5), Distill(student="lenet300")),
        (Prune(granularity="weight"), Distill(student="lenet300")),
        (Prune(granularity="weight"), Distill(fresh=True)),
    ],
)
def test_a_student_that_would_undo_earlier_steps_is_refused(context, lenet5, first, step):
    work = Work(lenet5)
    first.apply(work, context)
    with pytest.raises(WorkbenchError, match="would undo what earlier steps did"):
        step.apply(work, context)


def test_features_that_cannot_be_compared_are_refused(few_digits, lenet5):
    with pytest.raises(
        WorkbenchError, match=r"Attention can't compare relu2 \(100,\) of the student with relu3 \(500,\)"
    ):
        Distill(features="attention").apply(Work(_fresh("lenet300")), Context(few_digits, lenet5))


def test_named_pairs_are_the_ones_that_are_compared(few_digits, lenet5):
    hashes = []
    for pairs in ("auto", "relu2:relu2", "relu1:relu1", "relu1:relu1, relu2:relu2"):
        work = Work(_fresh())
        Distill(features="hints", pairs=pairs, alpha=0.0).apply(work, Context(few_digits, lenet5))
        hashes.append(weight_hash(work.module))
    assert hashes[0] == hashes[1]  # the middle one of five
    assert len(set(hashes)) == 3


def test_named_pairs_that_cannot_be_compared_are_refused(few_digits, lenet5):
    with pytest.raises(WorkbenchError, match=r"Attention can't compare relu3 \(500,\)"):
        Distill(features="attention", pairs="relu1:relu1, relu3:relu3").apply(
            Work(_fresh()), Context(few_digits, lenet5)
        )


def test_a_zoo_model_takes_the_place_of_the_study_s_own_and_comes_back_from_disk(few_digits, tmp_path, monkeypatch):
    """Stopped before the export, as nothing needs to be measured here."""

    def stop(facts: dict) -> None:
        if facts["name"] == "Export":
            raise Cancelled

    monkeypatch.setattr(carry_out, "_baseline", lambda study, folder: None)
    study = Study("lenet5", few_digits, path=tmp_path)
    recipe = Recipe([Distill(student="lenet300", learning_rate=0.003), Prune(ratio=0.5)])
    trial = study.execute(study.storage.add(recipe.to_dict(), recipe.hash).number, stop)
    module = carry_out.rebuild(trial).module
    assert module.fc1.weight.shape == (150, 784)
    by_hand, context = Work(copy.deepcopy(study.module)), Context(few_digits, study.module)
    for step in recipe:
        torch.set_num_threads(processors())
        step.apply(by_hand, context)
    assert weight_hash(module) == weight_hash(by_hand.module)


def test_a_recipe_that_cannot_be_carried_out_is_refused_before_its_first_step(few_digits, tmp_path, monkeypatch):
    stages: list[str] = []
    monkeypatch.setattr(carry_out, "_baseline", lambda study, folder: None)
    study = Study("lenet5", few_digits, path=tmp_path)
    recipe = Recipe([Finetune(epochs=50), Distill(teacher="resnet20")])
    trial = study.execute(
        study.storage.add(recipe.to_dict(), recipe.hash).number, lambda facts: stages.append(facts["name"])
    )
    assert (trial.state, stages) == ("failed", [])
    assert "resnet20 takes 32x32 images" in trial.reason
