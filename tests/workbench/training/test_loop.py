"""The one training loop: it improves, repeats exactly, keeps the best, and stops when told."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench import Cancelled, Dataset, Finetune, Prune, WorkbenchError
from workbench.models import MODELS
from workbench.steps.base import Context, Work
from workbench.training import Batch, accuracy, train
from workbench.training.batches import Batches
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


def test_without_further_wishes_it_is_the_plain_loop_of_every_textbook(few_digits):
    settings = Finetune(epochs=2, batch_size=64, warmup=0.0, learning_rate=0.01)
    plain = _fresh()
    optimizer = torch.optim.AdamW(plain.parameters(), lr=0.01, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: (1 + math.cos(math.pi * k / 16)) / 2)
    batches = Batches(few_digits, settings, seed=0)
    plain.to(memory_format=torch.channels_last)
    for _ in range(2):
        for inputs, labels, _ in batches:
            optimizer.zero_grad()
            F.cross_entropy(plain(inputs), labels).backward()
            optimizer.step()
            schedule.step()
    module = _fresh()
    train(module, few_digits, settings, context=Context(few_digits, module), since=1.0)
    assert weight_hash(module) == weight_hash(plain)


def test_diverging_is_said_with_the_learning_rate():
    steep = Dataset(train=(np.random.default_rng(0).random((400, 4), np.float32) * 1e6, np.arange(400) % 2))
    module = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2))
    said = r"^Finetune diverged in epoch \d+: the loss .* at update \d+ of 60\. Lower the learning rate \(now 1\)"
    with pytest.raises(WorkbenchError, match=said):
        _trained(module, steep, Finetune(learning_rate=1.0, optimizer="sgd", warmup=0.0, epochs=20))


@pytest.mark.parametrize(
    ("spoilt", "what"),
    [(6, "the loss is no longer a number at update 7 of 12"), (8, "a weight is no longer a number at update 8 of 12")],
)
def test_weights_that_stop_being_numbers_stop_the_training_and_the_best_epoch_is_restored(few_digits, spoilt, what):
    """At the sixth update the next loss shows it; at the eighth, the last of its epoch, the weights themselves do."""
    module, after_first = _fresh(), {}

    def spoil(done: int, updates: int) -> None:
        if done == BATCHES:
            after_first.update(copy.deepcopy(module.state_dict()))
        if done == spoilt:
            module.conv1.weight.data[0, 0, 0, 0] = math.nan

    settings = Finetune(epochs=3, learning_rate=0.003)
    with pytest.raises(WorkbenchError, match=f"in epoch 2: {what}"):
        train(module, few_digits, settings, context=Context(few_digits, module), after_update=spoil)
    assert all(torch.equal(tensor, after_first[name]) for name, tensor in module.state_dict().items())


def test_it_stops_early_after_as_many_epochs_without_gain_as_it_is_told_to_wait(few_digits, lenet5):
    """A rate that does nothing but harm: the first epoch is the best of all that follow."""
    notes: list[str] = []
    facts: list[dict] = []
    context = Context(few_digits, lenet5, report=lambda **told: facts.append(told))
    settings = Finetune(epochs=9, patience=2, learning_rate=1.0, optimizer="sgd", schedule="constant", warmup=0.0)
    train(lenet5, few_digits, settings, context=context, notes=notes)
    told = [fact["accuracy"] for fact in facts if "accuracy" in fact]
    assert len(told) < 9
    assert max(told[-2:]) <= max(told[:-2])
    assert all(max(told[k : k + 2]) > max(told[:k]) for k in range(1, len(told) - 2))
    assert notes[0] == f"Stopped early, after epoch {len(told)} of 9: 2 epochs in a row brought no better accuracy."
    assert facts[-1]["share"] == 1.0


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_the_average_of_the_weights_is_that_of_its_formula(few_digits, decay):
    module = _fresh()
    expected = {name: p.detach().clone() for name, p in module.named_parameters()}

    def follow(done: int, updates: int) -> None:
        for name, p in module.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * p.detach()

    settings = Finetune(epochs=2, average=decay)
    train(module, few_digits, settings, context=Context(few_digits, module), after_update=follow, since=1.0)
    for name, p in module.named_parameters():
        assert torch.allclose(p, expected[name], atol=1e-6), name


def test_a_training_that_never_got_better_says_that_it_changed_nothing(few_digits, lenet5):
    notes: list[str] = []
    before, known = weight_hash(lenet5), accuracy(lenet5, few_digits, few_digits.validation)
    settings = Finetune(epochs=1, learning_rate=1.0, optimizer="sgd")
    assert train(lenet5, few_digits, settings, context=Context(few_digits, lenet5), notes=notes) == known
    assert weight_hash(lenet5) == before
    assert notes == [
        f"No epoch of this training brought a better accuracy on the validation split than {known:.2%}, which was "
        "reached before it: the model stays as it was."
    ]


def test_averaged_weights_keep_the_zeros_that_were_pruned(context, lenet5):
    work = Work(lenet5)
    Prune(ratio=0.8, granularity="weight").apply(work, context)
    Finetune(average=0.9).apply(work, context)
    assert (work.module.fc1.weight == 0).float().mean() == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize("knob", ["l1", "l2"])
def test_a_penalty_on_the_weights_makes_them_smaller(few_digits, knob):
    def size(settings: Finetune) -> float:
        module = _fresh()
        train(module, few_digits, settings, context=Context(few_digits, module), since=1.0)
        return sum(p.detach().abs().sum().item() for p in module.parameters())

    assert size(Finetune(**{knob: 0.01})) < size(Finetune())


def test_smoothed_and_mixed_labels_reach_the_loss_as_probabilities(few_digits):
    seen: list[torch.Tensor] = []

    def loss(inputs, logits, labels):
        seen.append(labels)
        return F.cross_entropy(logits, labels)

    train(
        _fresh(), few_digits, Finetune(mixup=0.4, label_smoothing=0.1), context=Context(few_digits, _fresh()), loss=loss
    )
    for labels in seen:
        assert labels.shape == (128, 10)
        assert torch.allclose(labels.sum(1), torch.ones(128))
        assert labels.min() >= 0.1 / 10 - 1e-7


def test_a_batch_is_shown_before_the_module_sees_it(few_digits):
    seen: list[Batch] = []
    train(_fresh(), few_digits, Finetune(), context=Context(few_digits, _fresh()), before_update=seen.append)
    assert len(seen) == BATCHES
    for batch in seen:
        assert np.array_equal(batch.labels, few_digits.train.labels[batch.samples])


def test_what_is_trained_along_is_no_part_of_the_model(few_digits):
    helper, module = nn.Linear(10, 10), _fresh()
    before, names = weight_hash(helper), set(module.state_dict())
    train(
        module,
        few_digits,
        Finetune(),
        context=Context(few_digits, module),
        companion=helper,
        loss=lambda inputs, logits, labels: F.cross_entropy(helper(logits), labels),
    )
    assert weight_hash(helper) != before
    assert set(module.state_dict()) == names


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


def test_the_accuracy_is_the_share_of_right_answers(few_digits, lenet5):
    inputs = torch.from_numpy(few_digits.prepare(few_digits.validation.inputs))
    with torch.no_grad():
        right = (F.softmax(lenet5(inputs), 1).argmax(1).numpy() == few_digits.validation.labels).mean()
    assert accuracy(lenet5, few_digits, few_digits.validation, batch_size=7) == pytest.approx(right)


@pytest.mark.parametrize(("channels", "last"), [(5, False), (8, True)])
def test_strided_pointwise_convolutions_of_few_channels_train_in_the_usual_layout(few_digits, channels, last):
    """In the other one torch's backward pass writes past its memory there, and the process dies."""
    first, narrow = nn.Conv2d(1, channels, 3), nn.Conv2d(channels, 10, 1, stride=2)
    module = nn.Sequential(first, nn.ReLU(), narrow, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    layouts = set()
    first.register_forward_hook(
        lambda layer, inputs, output: layouts.add(output.is_contiguous(memory_format=torch.channels_last))
    )
    train(module, few_digits, Finetune(), context=Context(few_digits, module))
    assert layouts == {last}
