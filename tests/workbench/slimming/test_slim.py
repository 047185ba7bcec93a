"""Sparsity learned in training and then cut: what each penalty adds to the loss, and what it leaves of the model."""

import copy

import pytest
import torch
from torch import nn

from workbench import Finetune, Prune, Slim, WorkbenchError
from workbench.pruning.plan import replay
from workbench.slimming import PENALTIES
from workbench.steps.base import Context, Work
from workbench.training import accuracy
from workbench.weights import weight_hash


def _normed() -> nn.Module:
    """A small network with batch-norms."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def _slimmed(module: nn.Module, dataset, seed: int = 0, **knobs) -> Work:
    work = Work(copy.deepcopy(module))
    Slim(**knobs).apply(work, Context(dataset, module, seed))
    return work


def _penalty(module: nn.Module, dataset, method: str, **knobs):
    return PENALTIES[method](Work(module), Slim(method=method, **knobs), Context(dataset, module))


def _channel_norms(module: nn.Module) -> dict[str, torch.Tensor]:
    """Of LeNet-5, by hand: the norm over each channel's filter and what the next layer takes of it."""
    taken = {
        "conv1": module.conv2.weight.transpose(0, 1),
        "conv2": module.fc1.weight.T.reshape(50, -1),
        "fc1": module.fc2.weight.T,
    }
    return {
        name: (module.get_submodule(name).weight.flatten(1).square().sum(1) + rest.flatten(1).square().sum(1)).sqrt()
        for name, rest in taken.items()
    }


def test_group_lasso_is_the_sum_of_the_norms_of_all_that_goes_with_each_channel(lenet5, few_digits):
    penalty = _penalty(lenet5, few_digits, "lasso", strength=3.0)
    expected = 3 * penalty.usual * sum(norm.sum() for norm in _channel_norms(lenet5).values())
    assert penalty(lenet5).item() == pytest.approx(expected.item(), rel=1e-4)


def test_group_lasso_pulls_at_small_channels_as_hard_as_at_large_ones(lenet5, few_digits):
    penalty = _penalty(lenet5, few_digits, "lasso")
    for factor in (1.0, 0.01):
        with torch.no_grad():
            lenet5.fc1.weight[0] *= factor
            lenet5.fc2.weight[:, 0] *= factor
        lenet5.zero_grad()
        penalty(lenet5).backward()
        pull = torch.cat([lenet5.fc1.weight.grad[0] @ lenet5.fc1.weight[0, :, None], lenet5.fc2.weight.grad[:, 0]])
        assert pull.isfinite().all()
        norm = _channel_norms(lenet5)["fc1"][0]
        assert (lenet5.fc2.weight.grad[:, 0] / penalty.factor - lenet5.fc2.weight[:, 0] / norm).abs().max() < 1e-4


def test_group_lasso_of_a_channel_that_is_gone_has_a_gradient(lenet5, few_digits):
    with torch.no_grad():
        lenet5.fc1.weight[0], lenet5.fc2.weight[:, 0] = 0.0, 0.0
    _penalty(lenet5, few_digits, "lasso")(lenet5).backward()
    assert lenet5.fc2.weight.grad.isfinite().all()


def test_network_slimming_is_the_sum_of_the_absolute_batch_norm_scales(few_digits):
    module = _normed()
    with torch.no_grad():
        module[1].weight.copy_(torch.linspace(-2, 1.5, 8))
    penalty = _penalty(module, few_digits, "scales", strength=2.0)
    assert penalty(module).item() == pytest.approx(
        2 * penalty.usual * (module[1].weight.abs().sum().item() + 16), rel=1e-5
    )


def test_network_slimming_drives_the_scales_down_compared_with_none(few_digits):
    module, scales = _normed(), {}
    for strength in (0.01, 50.0):
        slim = Slim(method="scales", strength=strength, ratio=0.0, epochs=3, learning_rate=0.02, batch_size=32)
        work = Work(copy.deepcopy(module))
        slim.apply(work, Context(few_digits, module))
        scales[strength] = torch.cat([work.module[1].weight, work.module[4].weight]).abs()
    assert scales[50.0].mean() < 0.6 * scales[0.01].mean()


def test_network_slimming_cuts_the_channels_with_the_smallest_scales(few_digits):
    module = _normed()
    with torch.no_grad():
        module[4].weight[::2] = 0.01
    work = _slimmed(module, few_digits, method="scales", learning_rate=1e-5)
    assert work.module[3].out_channels == 8
    assert work.module[4].weight.min() > 0.9


def test_network_slimming_needs_batch_norms(lenet5, few_digits):
    with pytest.raises(WorkbenchError, match=r"no batch-norm whose scales .* Choose 'lasso' or 'growing'"):
        _slimmed(lenet5, few_digits, method="scales")


def test_growing_presses_only_the_channels_that_are_to_go_and_ever_harder(lenet5, few_digits):
    penalty = _penalty(lenet5, few_digits, "growing", ratio=0.5, strength=2.0)
    doomed = {group.name: set(units.tolist()) for group, units in penalty.doomed}
    assert {name: len(units) for name, units in doomed.items()} == {"conv1": 10, "conv2": 25, "fc1": 250}
    assert penalty(lenet5).item() == 0.0
    penalty.grow(1, 4)
    quarter = penalty(lenet5).item()
    penalty.grow(4, 4)
    assert penalty(lenet5).item() == pytest.approx(4 * quarter)
    expected = sum(_channel_norms(lenet5)[name][list(units)].square().sum().item() for name, units in doomed.items())
    assert penalty(lenet5).item() == pytest.approx(2.0 * expected / 2, rel=1e-4)
    penalty(lenet5).backward()
    pressed = lenet5.fc2.weight.grad.abs().sum(0).nonzero().flatten().tolist()
    assert set(pressed) == doomed["fc1"], "its smallest channels alone"


def test_growing_decides_by_the_smallest_filters_at_the_start(lenet5, few_digits):
    ((_, units), *_) = (pair for pair in _penalty(lenet5, few_digits, "growing").doomed if pair[0].name == "fc1")
    norms = lenet5.fc1.weight.abs().sum(1)
    rest = torch.ones(500, dtype=torch.bool).index_fill(0, units, False)
    assert norms[units].max() <= norms[rest].min()


@pytest.mark.parametrize("method", ["lasso", "growing"])
def test_it_costs_less_than_cutting_without_it(method, lenet5, few_digits):
    training = {"epochs": 6, "batch_size": 32, "learning_rate": 0.002}
    plain = Work(copy.deepcopy(lenet5))
    Finetune(**training).apply(plain, Context(few_digits, lenet5))
    Prune(ratio=0.5, importance=PENALTIES[method].importance).apply(plain, Context(few_digits, lenet5))
    work = _slimmed(lenet5, few_digits, method=method, ratio=0.5, **training)
    reached = [accuracy(w.module, few_digits, few_digits.validation) for w in (plain, work)]
    assert reached[1] > reached[0] + 0.03


@pytest.mark.parametrize("method", PENALTIES)
def test_the_share_is_cut_out_and_the_plan_tells_it(method, few_digits):
    module = _normed()
    work = _slimmed(module, few_digits, method=method, ratio=0.25)
    assert [work.module[0].out_channels, work.module[3].out_channels] == [6, 12]
    again = copy.deepcopy(module)
    replay(again, torch.from_numpy(few_digits.prepare(few_digits.calibration.inputs[:2])), work.plan)
    assert [tuple(p.shape) for p in again.parameters()] == [tuple(p.shape) for p in work.module.parameters()]


@pytest.mark.parametrize("method", PENALTIES)
def test_layers_have_shares_of_their_own_and_what_is_left_alone_is_not_penalized(method, few_digits):
    module = _normed()
    layers = {"0": 0.0, "3": 0.75}
    penalty = _penalty(module, few_digits, method, layers=layers)
    penalty.grow(1, 1)
    penalty(module).backward()
    alone = [module[0].weight, module[1].weight]
    assert all(weight.grad is None or not weight.grad.any() for weight in alone)
    assert module[4].weight.grad.any() or module[3].weight.grad.any()
    work = _slimmed(module, few_digits, method=method, layers=layers)
    assert (work.module[0].out_channels, work.module[3].out_channels) == (8, 4)


@pytest.mark.parametrize("method", PENALTIES)
def test_a_layer_that_is_not_there_is_refused_before_any_training(method, few_digits):
    with pytest.raises(WorkbenchError, match="no layer 'conv7' to prune"):
        _penalty(_normed(), few_digits, method, layers={"conv7": 0.5})


def test_zeros_of_an_earlier_pruning_stay(lenet5, few_digits):
    work, context = Work(copy.deepcopy(lenet5)), Context(few_digits, lenet5)
    Prune(granularity="weight", ratio=0.6).apply(work, context)
    Slim(ratio=0.0).apply(work, context)
    assert (work.module.fc1.weight == 0).float().mean() == pytest.approx(0.6)
    assert weight_hash(work.module) != weight_hash(lenet5)


@pytest.mark.parametrize("method", PENALTIES)
def test_the_same_seed_gives_the_same_weights(method, few_digits):
    hashes = [weight_hash(_slimmed(_normed(), few_digits, seed, method=method).module) for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]
