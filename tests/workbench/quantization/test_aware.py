"""Quantization-aware training: weights learn while they are rounded, and lie on their grid when it ends."""

import copy
from contextlib import ExitStack

import pytest
import torch
import torch.nn.functional as F

from workbench import Dataset, Distill, Finetune, Prune, Quantize
from workbench.quantization.activations import rounded_inputs
from workbench.steps.base import Context, Step, Work
from workbench.training import accuracy


def carried_out(steps: list[Step], module: torch.nn.Module, dataset: Dataset) -> Work:
    work = Work(copy.deepcopy(module))
    for step in steps:
        torch.manual_seed(0)
        step.apply(work, Context(dataset, module))
    return work


def reached(work: Work, dataset: Dataset) -> float:
    with rounded_inputs(work.module, work.activations):
        return accuracy(work.module, dataset, dataset.test)


def on_grids(work: Work) -> bool:
    return bool(work.grids) and all(
        grid.holds(work.module.get_parameter(name).detach()) for name, grid in work.grids.items()
    )


def low(bits: int, **knobs) -> Quantize:
    return Quantize(weight_bits=bits, simulate=True, calibration_samples=64, **knobs)


TRAINED = Finetune(epochs=1, batch_size=64)


@pytest.mark.parametrize(
    "step",
    [
        low(2, granularity="tensor"),
        low(2, ternary=True),
        low(1),
        low(2, activation_bits=2),
        low(4, activation_bits=1),
        low(8, activation_bits=1),
        low(1, activation_bits=1),
        low(1, activation_bits=1, mode="dynamic"),
        low(1, mode="weight-only"),
    ],
    ids=lambda step: f"{step.mode}-{step.weight_bits}-{step.activation_bits}{'-ternary' * step.ternary}",
)
def test_training_after_quantizing_beats_quantizing_alone(step, zoo_lenet5, digits):
    before, after = (carried_out(steps, zoo_lenet5, digits) for steps in ([step], [step, TRAINED]))
    assert reached(after, digits) > reached(before, digits)
    assert on_grids(before) and on_grids(after)
    assert {grid.bits for grid in after.grids.values()} == {step.weight_bits}


def learn(work: Work, dataset: Dataset, updates: int = 4, rate: float = 0.003) -> None:
    """A few updates under all that was laid on the work, whatever they do to the accuracy."""
    with ExitStack() as stack:
        for constraint in work.constraints.values():
            stack.enter_context(constraint.held(work.module))
        optimizer = torch.optim.Adam(work.module.parameters(), lr=rate)
        inputs = torch.from_numpy(dataset.prepare(dataset.train.inputs[:64]))
        labels = torch.from_numpy(dataset.train.labels[:64])
        for _ in range(updates):
            optimizer.zero_grad()
            F.cross_entropy(work.module(inputs) / 10, labels).backward()
            optimizer.step()


def test_scales_of_weights_and_activations_are_learned(zoo_lenet5, few_digits):
    work = carried_out([low(4)], zoo_lenet5, few_digits)
    before = [float(grid.scale.sum()) for grid in (*work.grids.values(), *work.activations.values())]
    learn(work, few_digits)
    after = [float(grid.scale.sum()) for grid in (*work.grids.values(), *work.activations.values())]
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert all(other == pytest.approx(one, rel=0.05) for one, other in zip(before, after, strict=True))
    assert on_grids(work)


def test_training_after_dynamic_quantization_rounds_what_flows_in_at_every_pass(zoo_lenet5, few_digits):
    work = carried_out([low(8, mode="dynamic", activation_bits=2)], zoo_lenet5, few_digits)
    seen = []
    with work.constraints["quantized"].held(work.module):
        handle = work.module.fc2.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
        work.module(torch.from_numpy(few_digits.prepare(few_digits.train.inputs[:8]))).sum().backward()
        handle.remove()
        gradient = work.module.fc1.parametrizations.weight.original.grad
    assert len(seen[0].detach().round(decimals=4).unique()) == 4
    assert gradient.abs().sum() > 0
    assert not any(part._forward_pre_hooks for part in work.module.modules())


def test_the_module_is_plain_again_afterwards(zoo_lenet5, few_digits):
    work = carried_out([low(4), Finetune()], zoo_lenet5, few_digits)
    assert set(work.module.state_dict()) == set(zoo_lenet5.state_dict())
    assert not any(module._forward_pre_hooks for module in work.module.modules())


@pytest.mark.parametrize(
    "steps",
    [
        [Prune(granularity="weight", ratio=0.8), low(4), Distill()],
        [low(4), Prune(granularity="weight", ratio=0.8), Distill()],
    ],
    ids=["prune-quantize-distil", "quantize-prune-distil"],
)
def test_pruned_weights_stay_zero_and_the_others_on_their_grid(steps, zoo_lenet5, few_digits):
    pruned = carried_out(steps[:2], zoo_lenet5, few_digits)
    trained = carried_out(steps, zoo_lenet5, few_digits)
    assert on_grids(pruned) and on_grids(trained)
    weights = [work.module.get_parameter("fc1.weight") for work in (pruned, trained)]
    zeros = [float((weight == 0).float().mean()) for weight in weights]
    assert min(zeros) >= 0.8


def test_zeros_that_rounding_made_are_free_to_learn(zoo_lenet5, few_digits):
    """Of the weights that pruning left, many round to zero at two bits: those are not pruned for that."""
    work = carried_out([Prune(granularity="weight", ratio=0.3)], zoo_lenet5, few_digits)
    pruned = work.module.get_parameter("fc1.weight").detach() == 0
    low(2).apply(work, Context(few_digits, zoo_lenet5))
    rounded = work.module.get_parameter("fc1.weight").detach().clone()
    learn(work, few_digits, updates=8)
    learned = work.module.get_parameter("fc1.weight").detach()
    assert not learned[pruned].any()
    assert ((rounded == 0) & ~pruned & (learned != 0)).any()


def test_channels_pruned_after_quantizing_leave_a_model_on_grids(zoo_lenet5, few_digits):
    work = carried_out([low(4), Prune(ratio=0.5), Finetune()], zoo_lenet5, few_digits)
    assert on_grids(work)
    assert work.grids["conv1.weight"].scale.shape == (10,)


def test_training_that_finds_nothing_better_leaves_what_better_rounding_found(zoo_lenet5, few_digits):
    """Epoch 0 of the training is the model as GPTQ rounded it, not as rounding to the nearest would have."""
    step = low(2, rounding="gptq")
    before = carried_out([step], zoo_lenet5, few_digits)
    work = carried_out([step], zoo_lenet5, few_digits)
    with work.constraints["quantized"].held(work.module):
        pass
    for name, weight in before.module.named_parameters():
        assert torch.equal(weight, work.module.get_parameter(name))


def test_a_copy_of_the_model_rounds_what_flows_in_by_its_own_scales(zoo_lenet5, few_digits):
    work = carried_out([low(8, activation_bits=2)], zoo_lenet5, few_digits)
    inputs = torch.from_numpy(few_digits.prepare(few_digits.train.inputs[:8]))
    with torch.no_grad(), work.constraints["quantized"].held(work.module):
        other = copy.deepcopy(work.module)
        assert torch.equal(other(inputs), work.module(inputs))
        other.fc1.input_grid.ratio.mul_(2)
        assert not torch.allclose(other(inputs), work.module(inputs))


def test_averaged_weights_are_judged_and_kept_with_averaged_scales(zoo_lenet5, few_digits):
    work = carried_out([low(8, activation_bits=2)], zoo_lenet5, few_digits)
    training = Finetune(epochs=2, learning_rate=0.03, warmup=0.0, average=0.9)
    best = training.learn(work, Context(few_digits, zoo_lenet5), since=1.0)
    with rounded_inputs(work.module, work.activations):
        assert accuracy(work.module, few_digits, few_digits.validation) == pytest.approx(best, abs=0.006)
