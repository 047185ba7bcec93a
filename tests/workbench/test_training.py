"""The one training loop: it improves, repeats exactly, keeps the best, and stops when told."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from workbench import Cancelled, Dataset, Distill, Finetune, WorkbenchError
from workbench.models import MODELS
from workbench.steps.base import Context, Work
from workbench.training import accuracy, augment, distillation_loss, train
from workbench.weights import weight_hash

BATCHES = 4  # of 128 among the 512 digits


def _fresh(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return MODELS["lenet5"].build(1, 10)


def _trained(module: nn.Module, dataset: Dataset, settings: Finetune, seed: int = 0) -> tuple[nn.Module, float, list]:
    facts: list[dict] = []
    context = Context(dataset, module, seed, report=lambda **told: facts.append(told))
    module = copy.deepcopy(module)
    return module, train(module, dataset, settings, context=context), facts


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.05), ("adam", 0.003), ("adamw", 0.003)])
def test_every_optimizer_learns_digits_from_nothing(few_digits, optimizer, rate):
    settings = Finetune(epochs=3, batch_size=32, optimizer=optimizer, learning_rate=rate)
    module, reached, _ = _trained(_fresh(), few_digits, settings)
    assert reached > 0.6
    assert reached == accuracy(module, few_digits, few_digits.validation)
    assert not module.training


def test_the_loss_is_told_at_every_update_and_the_accuracy_at_every_epoch(few_digits):
    _, reached, facts = _trained(_fresh(), few_digits, Finetune(epochs=3))
    assert facts.pop(0)["message"] == "Judging the model before training"
    told = [fact["accuracy"] for fact in facts if "accuracy" in fact]
    assert (len(told), len(facts)) == (3, 3 * BATCHES + 3)
    assert reached == max(told)
    assert all(math.isfinite(fact["loss"]) for fact in facts)
    shares = [fact["share"] for fact in facts]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (1 / 12, 1.0)
    assert facts[-1]["epoch"] == 3.0


def test_the_best_epoch_is_restored(few_digits):
    module, reached, facts = _trained(_fresh(), few_digits, Finetune(epochs=6, learning_rate=0.02, optimizer="adam"))
    told = [fact["accuracy"] for fact in facts if "accuracy" in fact]
    assert reached == max(told) == accuracy(module, few_digits, few_digits.validation)


def test_a_training_that_only_does_harm_leaves_the_model_as_it_was(lenet5, few_digits):
    module, reached, facts = _trained(lenet5, few_digits, Finetune(learning_rate=1.0, optimizer="sgd", warmup=0.0))
    assert facts[-1]["accuracy"] < 0.5 < reached
    assert weight_hash(module) == weight_hash(lenet5)


@pytest.mark.parametrize("since", [0.5, 1.0])
def test_only_an_epoch_after_the_given_share_can_be_the_best(lenet5, few_digits, since):
    facts: list[dict] = []
    settings = Finetune(epochs=4, learning_rate=1.0, optimizer="sgd", warmup=0.0)  # does nothing but harm
    context = Context(few_digits, lenet5, report=lambda **told: facts.append(told))
    reached = train(lenet5, few_digits, settings, context=context, since=since)
    told = [fact["accuracy"] for fact in facts if "accuracy" in fact]
    assert reached == max(told[math.ceil(since * 4) - 1 :]) == accuracy(lenet5, few_digits, few_digits.validation)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(few_digits):
    settings = Finetune(augment="shift+flip", batch_size=64)
    hashes = [weight_hash(_trained(_fresh(), few_digits, settings, seed)[0]) for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_diverging_is_said_with_the_learning_rate():
    steep = Dataset(train=(np.random.default_rng(0).random((400, 4), np.float32) * 1e6, np.arange(400) % 2))
    module = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2))
    with pytest.raises(WorkbenchError, match=r"diverged in epoch \d+: .* Lower the learning rate \(now 1\)"):
        _trained(module, steep, Finetune(learning_rate=1.0, optimizer="sgd", warmup=0.0, epochs=20))


@pytest.mark.parametrize("batch", [1, 3, BATCHES])
def test_cancelling_stops_at_that_very_batch(few_digits, batch):
    told: list[dict] = []

    def report(**facts) -> None:
        told.append(facts)
        if len(told) == batch:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(_fresh(), few_digits, Finetune(epochs=5), context=Context(few_digits, _fresh(), report=report))
    assert len(told) == batch


@pytest.mark.parametrize("targets", ["soft", "hard"])
@pytest.mark.parametrize(("temperature", "alpha"), [(1.0, 1.0), (4.0, 0.7), (2.5, 0.3), (20.0, 0.0)])
def test_the_distillation_loss_is_that_of_its_formula(targets, temperature, alpha):
    rng = np.random.default_rng(0)
    z, t, labels = rng.normal(size=(6, 5)), rng.normal(size=(6, 5)) * 3, rng.integers(0, 5, 6)

    def softmax(x: np.ndarray) -> np.ndarray:
        return np.exp(x) / np.exp(x).sum(1, keepdims=True)

    def cross_entropy(answers: np.ndarray) -> float:
        return -np.log(softmax(z)[np.arange(6), answers]).mean()

    p, q = softmax(t / temperature), softmax(z / temperature)
    soft = temperature**2 * (p * np.log(p / q)).sum(1).mean()
    expected = alpha * (soft if targets == "soft" else cross_entropy(t.argmax(1))) + (1 - alpha) * cross_entropy(labels)

    loss = distillation_loss(nn.Identity(), temperature, alpha, targets)
    value = loss(torch.from_numpy(t), torch.from_numpy(z), torch.from_numpy(labels))
    assert value.item() == pytest.approx(expected)


def test_a_student_learns_from_a_teacher_alone(few_digits, lenet5):
    work = Work(_fresh())
    Distill(epochs=6, alpha=1.0, learning_rate=0.003).apply(work, Context(few_digits, lenet5))
    assert accuracy(work.module, few_digits, few_digits.validation) > 0.6


def test_the_teacher_stays_as_it_was(few_digits, lenet5):
    before = weight_hash(lenet5)
    Distill().apply(Work(_fresh()), Context(few_digits, lenet5))
    assert weight_hash(lenet5) == before
    assert all(p.grad is None for p in lenet5.parameters())


def test_an_unknown_teacher_is_refused_with_the_nearest_one(few_digits, lenet5):
    with pytest.raises(WorkbenchError, match=r"no model called 'lenet50'\. Did you mean 'lenet5'"):
        Distill(teacher="lenet50").apply(Work(lenet5), Context(few_digits, lenet5))


def _augmented(images: np.ndarray, seed: int = 0, **knobs) -> np.ndarray:
    return augment(images, Finetune(**knobs), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("how", ["shift", "shift+flip"])
def test_augmenting_keeps_shape_and_dtype_and_depends_on_the_seed_only(few_digits, how):
    images = few_digits.train.inputs[:100]
    one, same, other = (_augmented(images, seed, augment=how) for seed in (0, 0, 1))
    assert (one.shape, one.dtype) == (images.shape, images.dtype)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("how", ["shift", "shift+flip"])
def test_a_shifted_image_is_a_window_of_the_padded_one_or_of_its_mirror_image(few_digits, how):
    images = few_digits.train.inputs[:60]
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(images, [(0, 0), (0, 0), (4, 4), (4, 4)]), (28, 28), axis=(2, 3)
    ).reshape(60, -1, 28, 28)
    mirrored = 0
    for image, allowed in zip(_augmented(images, augment=how)[:, 0], windows, strict=True):
        straight = (allowed == image).all(axis=(1, 2)).any()
        assert straight or (how == "shift+flip" and (allowed == image[:, ::-1]).all(axis=(1, 2)).any())
        mirrored += not straight
    assert (mirrored > 10) == (how == "shift+flip")


@given(size=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_crop_is_a_part_of_its_image(few_digits, size, seed):
    images = few_digits.train.inputs[:5]
    side = min(size, 28)
    for image, crop in zip(images[:, 0], _augmented(images, seed, crop=size)[:, 0], strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(image, (side, side))
        assert (windows == crop).all(axis=(2, 3)).any()


def test_without_augmentation_images_stay_and_what_is_no_image_always_stays(few_digits):
    images, figures = few_digits.train.inputs[:5], np.ones((5, 4), np.float32)
    assert _augmented(images) is images
    assert _augmented(figures, augment="shift+flip") is figures


def test_the_accuracy_is_the_share_of_right_answers(few_digits, lenet5):
    inputs = torch.from_numpy(few_digits.prepare(few_digits.validation.inputs))
    with torch.no_grad():
        right = (F.softmax(lenet5(inputs), 1).argmax(1).numpy() == few_digits.validation.labels).mean()
    assert accuracy(lenet5, few_digits, few_digits.validation, batch_size=7) == pytest.approx(right)
