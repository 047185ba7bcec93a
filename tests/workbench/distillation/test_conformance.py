"""Every kind of target and of feature: it trains a student of any shape, lowers its own loss, and leaves no trace."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench import Distill, Prune
from workbench.distillation import FEATURES, TARGETS
from workbench.distillation.lesson import Lesson
from workbench.knobs import knobs
from workbench.models import MODELS
from workbench.steps.base import Context, Work
from workbench.training import Batch
from workbench.weights import weight_hash

KINDS = [pytest.param({"targets": kind, "alpha": 1.0}, id=kind) for kind in TARGETS]
KINDS += [pytest.param({"features": kind, "alpha": 0.0}, id=kind) for kind in FEATURES]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
FRESH = {"epochs": 3, "batch_size": 32, "learning_rate": 0.01}


def _quarter(lenet5: nn.Module, context: Context) -> Work:
    """LeNet-5 with a quarter of the width, and fresh weights."""
    work = Work(copy.deepcopy(lenet5))
    Prune(ratio=0.75).apply(work, context)
    torch.manual_seed(0)
    for layer in (work.module.conv1, work.module.conv2, work.module.fc1, work.module.fc2):
        layer.reset_parameters()
    return work


def _loss(lesson: Lesson, student: nn.Module, batch: Batch) -> float:
    """The targets' loss, or where features are compared theirs, on one batch."""
    with lesson.given(student), torch.no_grad():
        lesson.before_update(batch)
        logits = student.eval()(batch.inputs)
        return (
            lesson.difference(lesson.features) if lesson.features else lesson.loss(*batch[:1], logits, batch.labels)
        ).item()


def test_the_knobs_offer_all_kinds_and_no_other():
    offered = {knob.name: knob.choices for knob in knobs(Distill)}
    assert offered["targets"] == tuple(TARGETS)
    assert offered["features"] == ("none", *FEATURES)


@EVERY_KIND
def test_it_lowers_its_own_loss_in_a_student_of_a_quarter_of_the_width(kind, few_digits, lenet5):
    context, step = Context(few_digits, lenet5), Distill(**kind, **FRESH)
    work = _quarter(lenet5, context)
    lesson = Lesson(copy.deepcopy(lenet5).requires_grad_(False), work, step, context)
    index = torch.arange(128)
    inputs = torch.from_numpy(few_digits.prepare(few_digits.train.inputs[:128]))
    batch = Batch(inputs, torch.from_numpy(few_digits.train.labels[:128]), index)
    before = _loss(lesson, work.module, batch)
    with lesson.given(work.module):
        step.learn(work, context, lesson.loss, before_update=lesson.before_update, companion=lesson.features)
    assert _loss(lesson, work.module, batch) < 0.8 * before


@EVERY_KIND
def test_it_repeats_exactly_and_leaves_teacher_and_student_as_plain_as_they_were(kind, few_digits, lenet5):
    context, step, hashes = Context(few_digits, lenet5), Distill(**kind), []
    before = weight_hash(lenet5)
    for _ in range(2):
        work = _quarter(lenet5, context)
        names = set(work.module.state_dict())
        step.apply(work, context)
        assert set(work.module.state_dict()) == names
        assert not any(layer._forward_hooks for layer in [*work.module.modules(), *lenet5.modules()])
        hashes.append(weight_hash(work.module))
    assert hashes[0] == hashes[1]
    assert weight_hash(lenet5) == before


@EVERY_KIND
def test_it_keeps_the_zeros_of_a_pruned_student_and_goes_with_averaging_and_mixup(kind, few_digits, lenet5):
    context, work = Context(few_digits, lenet5), Work(copy.deepcopy(lenet5))
    Prune(ratio=0.8, granularity="weight").apply(work, context)
    Distill(**kind, average=0.5, mixup=0.5, label_smoothing=0.1, l1=1e-5).apply(work, context)
    assert (work.module.fc1.weight == 0).float().mean() == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize("features", ["hints", "relational"])
def test_a_student_of_another_architecture_learns_from_what_both_know(features, few_digits, lenet5):
    torch.manual_seed(0)
    work = Work(MODELS["lenet300"].build(1, 10))
    Distill(features=features, **FRESH).apply(work, Context(few_digits, lenet5))
    inputs = torch.from_numpy(few_digits.prepare(few_digits.validation.inputs))
    assert F.cross_entropy(work.module(inputs), torch.from_numpy(few_digits.validation.labels)) < 1.2
