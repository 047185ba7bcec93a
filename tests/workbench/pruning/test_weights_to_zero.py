"""Single weights: exactly the share that was asked for, and zero ever after."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workbench import Distill, Finetune, Prune, WorkbenchError
from workbench.models import MODELS
from workbench.pruning.scores import SCORES
from workbench.steps.base import Context, Work
from workbench.weights import weight_hash

NAMES = ["conv1", "conv2", "fc1", "fc2"]


def _pruned(module: nn.Module, dataset, seed: int = 0, **knobs) -> Work:
    work = Work(copy.deepcopy(module))
    Prune(granularity="weight", **knobs).apply(work, Context(dataset, module, seed))
    return work


def _zeros(module: nn.Module) -> list[int]:
    return [int((module.get_submodule(name).weight == 0).sum()) for name in NAMES]


def _sizes(module: nn.Module) -> list[int]:
    return [module.get_submodule(name).weight.numel() for name in NAMES]


@settings(max_examples=15)
@given(ratio=st.floats(0, 0.95), importance=st.sampled_from(["l1", "lamp", "random"]))
def test_every_layer_loses_exactly_its_share(zoo_lenet5, few_digits, ratio, importance):
    work = _pruned(zoo_lenet5, few_digits, ratio=ratio, importance=importance)
    assert _zeros(work.module) == [round(ratio * size) for size in _sizes(zoo_lenet5)]


@pytest.mark.parametrize("importance", list(SCORES))
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_every_importance_leaves_a_model_that_runs_in_either_scope(lenet5, few_digits, importance, scope):
    work = _pruned(lenet5, few_digits, importance=importance, scope=scope)
    outputs = work.module(torch.from_numpy(few_digits.prepare(few_digits.validation.inputs[:7])))
    assert outputs.shape == (7, 10) and outputs.isfinite().all()
    assert sum(_zeros(work.module)) == sum(_sizes(lenet5)) // 2


@pytest.mark.parametrize("importance", list(SCORES))
def test_the_whole_model_loses_exactly_its_share_and_no_two_layers_the_same(lenet5, few_digits, importance):
    zeros = _zeros(_pruned(lenet5, few_digits, ratio=0.8, scope="global", importance=importance).module)
    assert sum(zeros) == round(0.8 * sum(_sizes(lenet5)))
    shares = [zero / size for zero, size in zip(zeros, _sizes(lenet5), strict=True)]
    assert len({round(share, 4) for share in shares}) == 4


@pytest.mark.parametrize("importance", ["l1", "l2"])
def test_the_smallest_weights_go(lenet5, few_digits, importance):
    work = _pruned(lenet5, few_digits, ratio=0.7, importance=importance)
    for name in NAMES:
        before, gone = lenet5.get_submodule(name).weight.abs(), work.module.get_submodule(name).weight == 0
        assert before[gone].max() <= before[~gone].min()


@settings(max_examples=15)
@given(ratio=st.floats(0, 0.9), size=st.sampled_from([4, 8, 16, 32]), importance=st.sampled_from(["l1", "random"]))
def test_squares_stay_or_go_whole_and_so_many_of_them(zoo_lenet5, few_digits, ratio, size, importance):
    try:
        work = _pruned(zoo_lenet5, few_digits, ratio=ratio, importance=importance, block_size=size)
    except WorkbenchError as refusal:
        assert "every weight of" in str(refusal)  # a layer of few squares can lose them all
        return
    for name in NAMES:
        gone = (work.module.get_submodule(name).weight == 0).flatten(1)
        squares = [part for rows in gone.split(size, 0) for part in rows.split(size, 1)]
        assert all(square.all() or not square.any() for square in squares)
        assert sum(bool(square.all()) for square in squares) == round(ratio * len(squares))


def test_the_squares_that_go_are_those_that_are_least_on_average(lenet5, few_digits):
    gone = _pruned(lenet5, few_digits, ratio=0.6, importance="l1", block_size=4).module.fc1.weight == 0
    means = lenet5.fc1.weight.detach().abs().unfold(0, 4, 4).unfold(1, 4, 4).mean((2, 3))
    empty = gone.unfold(0, 4, 4).unfold(1, 4, 4).all(3).all(2)
    assert means[empty].max() <= means[~empty].min()


def test_a_threshold_holds_for_the_mean_of_a_square(lenet5, few_digits):
    gone = _pruned(lenet5, few_digits, threshold=0.02, block_size=4).module.fc1.weight == 0
    means = lenet5.fc1.weight.detach().abs().unfold(0, 4, 4).unfold(1, 4, 4).mean((2, 3))
    assert 0 < gone.float().mean() < 1
    assert torch.equal(gone.unfold(0, 4, 4).unfold(1, 4, 4).all(3).all(2), means < 0.02)


def test_taylor_zeroes_what_the_loss_does_not_feel_however_large_it_is(few_digits):
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    with torch.no_grad():
        module[1].weight[:, 0] = 50.0  # the corner pixel, which is black in every digit
    kept = {
        how: _pruned(module, few_digits, ratio=0.3, importance=how).module[1].weight[:, 0] for how in ("l2", "taylor")
    }
    assert kept["l2"].all()
    assert not kept["taylor"].any()


def test_random_depends_on_the_seed_and_on_nothing_else(lenet5, few_digits):
    fresh = MODELS["lenet5"].build(1, 10)
    patterns = [
        _pruned(module, few_digits, seed, importance="random").module.fc1.weight == 0
        for module in (lenet5, fresh)
        for seed in (0, 1)
    ]
    assert torch.equal(patterns[0], patterns[2])
    assert not torch.equal(patterns[0], patterns[1])


def test_biases_and_everything_that_is_kept_stay_as_they_were(lenet5, few_digits):
    work = _pruned(lenet5, few_digits, ratio=0.9)
    for name in NAMES:
        before, after = lenet5.get_submodule(name), work.module.get_submodule(name)
        assert torch.equal(after.bias, before.bias)
        assert torch.equal(after.weight, before.weight * (after.weight != 0))
    assert set(work.module.state_dict()) == set(lenet5.state_dict())


@pytest.mark.parametrize("importance", ["l1", "taylor", "lamp", "random"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_pruning_twice_by_the_same_ratio_changes_nothing_more(lenet5, few_digits, importance, scope):
    knobs = {"ratio": 0.6, "importance": importance, "scope": scope}
    once = _pruned(lenet5, few_digits, **knobs)
    twice = _pruned(once.module, few_digits, seed=5, **knobs)
    assert weight_hash(twice.module) == weight_hash(once.module)


def test_a_layer_can_have_a_ratio_of_its_own_or_be_left_whole(lenet5, few_digits):
    work = _pruned(lenet5, few_digits, ratio=0.8, layers={"conv1": 0.0, "fc1": 0.9})
    assert _zeros(work.module) == [0, 20_000, 360_000, 4_000]


def test_layers_with_a_ratio_of_their_own_take_no_part_in_that_of_the_whole_model(lenet5, few_digits):
    work = _pruned(lenet5, few_digits, ratio=0.8, scope="global", layers={"fc1": 0.5})
    conv1, conv2, fc1, fc2 = _zeros(work.module)
    assert fc1 == 200_000
    assert conv1 + conv2 + fc2 == round(0.8 * (500 + 25_000 + 5_000))
    assert conv1 / 500 != fc2 / 5_000


def test_a_threshold_zeroes_exactly_what_is_smaller(lenet5, few_digits):
    work = _pruned(lenet5, few_digits, threshold=0.03, layers={"fc2": 0.0})
    for name in NAMES[:3]:
        before, after = lenet5.get_submodule(name).weight, work.module.get_submodule(name).weight
        assert torch.equal(after, before * (before.abs() >= 0.03))
        assert 0 < (after == 0).float().mean() < 1
    assert torch.equal(work.module.fc2.weight, lenet5.fc2.weight)


@pytest.mark.parametrize(
    "knobs", [{"threshold": 1.0}, {"ratio": 0.95, "scope": "global"}], ids=["threshold", "global ratio"]
)
def test_what_would_empty_a_layer_is_refused_by_name_and_changes_nothing(lenet5, few_digits, knobs):
    with torch.no_grad():
        lenet5.fc2.weight *= 1e-6
    before = weight_hash(lenet5)
    work = Work(lenet5)
    with pytest.raises(WorkbenchError, match=r"set every weight of .*fc2 to zero, .* a ratio of their own"):
        Prune(granularity="weight", **knobs).apply(work, Context(few_digits, lenet5))
    assert weight_hash(lenet5) == before


def test_lamp_empties_no_layer_where_magnitude_would(lenet5, few_digits):
    with torch.no_grad():
        lenet5.fc2.weight *= 1e-6
    zeros = _zeros(_pruned(lenet5, few_digits, ratio=0.95, scope="global", importance="lamp").module)
    assert zeros[3] < 5_000


def test_an_unknown_layer_is_refused_with_the_nearest_one(lenet5, few_digits):
    with pytest.raises(WorkbenchError, match=r"no layer 'conv3' to prune\. Did you mean 'conv"):
        _pruned(lenet5, few_digits, layers={"conv3": 0.5})


@pytest.mark.parametrize("training", [Finetune(), Finetune(optimizer="sgd", learning_rate=0.05), Distill(alpha=0.5)])
def test_zeros_survive_every_training_and_all_else_learns(lenet5, few_digits, training):
    work = _pruned(lenet5, few_digits, ratio=0.9)
    before = copy.deepcopy(work.module)
    training.apply(work, Context(few_digits, lenet5))
    assert weight_hash(work.module) != weight_hash(before)
    for name in NAMES:
        zero = before.get_submodule(name).weight == 0
        assert torch.equal(work.module.get_submodule(name).weight == 0, zero)


def test_the_notes_say_that_zeros_are_no_faster(lenet5, few_digits):
    assert "no faster; only a packed file" in _pruned(lenet5, few_digits).notes[0]


def test_a_model_without_weights_to_prune_is_refused(few_digits):
    with pytest.raises(WorkbenchError, match=r"no convolution and no linear layer to prune\. Remove this step"):
        _pruned(nn.Sequential(nn.Flatten(), nn.LayerNorm(784)), few_digits)
