"""Gradual and movement pruning: masks that rise along the cubic schedule, by what each method looks at."""

import copy

import pytest
import torch
from torch import nn

from workbench import Prune, Sparsify, WorkbenchError
from workbench.constraints import parametrized
from workbench.pruning.weights import Goal
from workbench.sparsity.masks import Mask, RisingMasks, cubic
from workbench.sparsity.movement import LearnedMask
from workbench.steps.base import Context, Work

NAMES = ["conv1", "conv2", "fc1", "fc2"]


def _zeros(module: nn.Module) -> list[float]:
    return [float((module.get_submodule(name).weight == 0).float().mean()) for name in NAMES]


def _rising(module: nn.Module, way: type[Mask], **knobs) -> RisingMasks:
    given = {"goal": Goal(0.8), "initial": 0.0, "until": 0.75, "every": 1} | knobs
    return RisingMasks(names=["fc2.weight"], way=way, **given)


@pytest.mark.parametrize(
    ("t", "initial", "final", "expected"),
    [
        (0, 0, 0.8, 0.0),
        (0.5, 0, 0.8, 0.7),
        (1, 0, 0.8, 0.8),
        (2, 0, 0.8, 0.8),
        (0.5, 0.4, 0.8, 0.75),
        (0.1, 0, 1, 0.271),
    ],
)
def test_the_schedule_is_cubic(t, initial, final, expected):
    assert cubic(t, initial, final) == pytest.approx(expected)


def test_the_masks_follow_the_schedule_and_then_stay(lenet5):
    masks, seen = _rising(lenet5, Mask, until=0.8), []
    with masks.held(lenet5):
        for done in range(1, 11):
            masks.update(done, 10)
            seen.append(int((lenet5.fc2.weight == 0).sum()))
    assert seen == [round(5_000 * cubic(done / 8, 0.0, 0.8)) for done in range(1, 11)]
    assert seen[7:] == [4_000, 4_000, 4_000]


def test_they_are_drawn_every_so_many_updates_and_when_the_goal_is_due(lenet5):
    masks, drawn = _rising(lenet5, Mask, every=4), []
    with masks.held(lenet5):
        for done in range(1, 12):
            before = lenet5.fc2.weight == 0
            masks.update(done, 11)
            drawn += [done] if not torch.equal(before, lenet5.fc2.weight == 0) else []
    assert drawn == [4, 8, 9]  # 9 is the first after three quarters of 11


def test_gradual_takes_the_smallest_and_never_gives_one_back(lenet5):
    before, masks = lenet5.fc2.weight.detach().clone(), _rising(lenet5, Mask)
    with masks.held(lenet5):
        masks.update(1, 10)
        gone = lenet5.fc2.weight == 0
        assert before[gone].abs().max() <= before[~gone].abs().min()
        with torch.no_grad():  # whatever happens to them beneath the mask
            lenet5.fc2.parametrizations.weight.original[gone] = 100.0
        masks.update(2, 10)
        assert (lenet5.fc2.weight[gone] == 0).all()


def test_a_movement_score_falls_with_the_gradient_times_the_weight_even_beneath_the_mask():
    layer = nn.Linear(3, 1, bias=False)
    layer.weight.data = torch.tensor([[2.0, -1.0, 0.5]])
    mask = LearnedMask(layer.weight.detach())
    mask.mask.copy_(torch.tensor([[1.0, 0.0, 1.0]]))
    with parametrized(layer, {"weight": mask}):
        inputs = torch.tensor([[3.0, 5.0, 7.0]])
        output = layer(inputs)
        assert output.item() == 2 * 3 + 0.5 * 7, "the forward pass sees the mask alone"
        output.backward()
        assert torch.equal(mask.scores.grad, inputs * torch.tensor([[2.0, -1.0, 0.5]]))
        assert torch.equal(layer.parametrizations.weight.original.grad, inputs * mask.mask)


def test_movement_keeps_weights_that_move_away_from_zero_rather_than_large_ones():
    # The target wants the large weight gone and the small one larger.
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[1.0, 0.1]])
    inputs = torch.eye(2)
    kept = {}
    for way in (Mask, LearnedMask):
        module = nn.Sequential()
        module.add_module("fc2", copy.deepcopy(layer))
        masks = _rising(module, way, goal=Goal(0.5), every=20)
        with masks.held(module):
            optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
            for done in range(1, 21):
                loss = (module(inputs) - torch.tensor([[0.6], [0.5]])).square().sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                masks.update(done, 20)
            kept[way] = (module.fc2.weight != 0).tolist()
    assert kept == {Mask: [[True, False]], LearnedMask: [[False, True]]}


@pytest.mark.parametrize("method", ["gradual", "movement"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_after_one_training_exactly_the_share_is_zero_and_stays_so(method, scope, lenet5, few_digits):
    work, context = Work(lenet5), Context(few_digits, copy.deepcopy(lenet5))
    before = copy.deepcopy(lenet5)
    Sparsify(method=method, scope=scope, ratio=0.7, layers={"conv1": 0.2}, every=1).apply(work, context)
    shares = _zeros(work.module)
    assert shares[0] == pytest.approx(0.2)
    if scope == "layer":
        assert shares[1:] == pytest.approx([0.7] * 3)
    else:
        zeros = sum(int((work.module.get_submodule(name).weight == 0).sum()) for name in NAMES[1:])
        assert zeros == round(0.7 * (25_000 + 400_000 + 5_000))
    assert not torch.equal(work.module.fc1.bias, before.fc1.bias), "the rest has learned"
    assert set(work.module.state_dict()) == set(before.state_dict()), "and the weights are plain again"
    assert "zeros" in work.constraints and "no faster" in work.notes[-1]


@pytest.mark.parametrize("method", ["gradual", "movement"])
def test_zeros_that_are_there_already_count_and_stay(method, lenet5, few_digits):
    work, context = Work(lenet5), Context(few_digits, copy.deepcopy(lenet5))
    Prune(granularity="weight", ratio=0.5).apply(work, context)
    gone = work.module.fc1.weight == 0
    Sparsify(method=method, ratio=0.7, every=1).apply(work, context)
    assert (work.module.fc1.weight[gone] == 0).all()
    assert _zeros(work.module) == pytest.approx([0.7] * 4)


def test_the_best_epoch_is_one_at_which_the_masks_have_risen(lenet5, few_digits):
    work = Work(lenet5)  # the accuracy is best before anything is masked
    Sparsify(ratio=0.95, epochs=2, until=1.0, every=1, learning_rate=1e-5).apply(work, Context(few_digits, lenet5))
    assert _zeros(work.module) == pytest.approx([0.95] * 4, abs=1e-3)


def test_what_would_empty_a_layer_is_refused_by_name(lenet5, few_digits):
    with torch.no_grad():
        lenet5.fc2.weight *= 1e-6
    with pytest.raises(WorkbenchError, match="set every weight of fc2 to zero"):
        Sparsify(ratio=0.95, scope="global", learning_rate=1e-5).apply(Work(lenet5), Context(few_digits, lenet5))
