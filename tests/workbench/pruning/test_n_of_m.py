"""N:M: of every M neighbours along the inputs exactly the N most important stay."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workbench import Finetune, Prune, WorkbenchError
from workbench.pruning.n_of_m import keep_n_of_m
from workbench.pruning.scores import SCORES
from workbench.steps.base import Context, Work
from workbench.weights import weight_hash


def _pruned(module: nn.Module, dataset, **knobs) -> Work:
    work = Work(copy.deepcopy(module))
    Prune(granularity="n:m", **knobs).apply(work, Context(dataset, module))
    return work


def _groups(weight: torch.Tensor, m: int) -> torch.Tensor:
    """Each run of `m` weights along the inputs: shape (groups, m)."""
    return weight.movedim(1, -1).reshape(-1, m)


@settings(max_examples=50)
@given(m=st.integers(2, 8), data=st.data())
def test_exactly_n_of_every_m_are_kept_and_none_that_is_left_out_is_larger(m, data):
    n = data.draw(st.integers(1, m - 1))
    shape = data.draw(st.tuples(st.integers(1, 4), st.just(m * data.draw(st.integers(1, 3))), st.integers(1, 3)))
    scores = torch.rand(shape, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 99))))
    kept, score = _groups(keep_n_of_m(scores, n, m), m), _groups(scores, m)
    assert (kept.sum(1) == n).all()
    assert (score.where(kept, torch.inf).amin(1) >= score.where(~kept, -torch.inf).amax(1)).all()


@pytest.mark.parametrize("importance", list(SCORES))
def test_two_of_four_stay_by_default_along_the_inputs_of_each_layer(lenet5, few_digits, importance):
    work = _pruned(lenet5, few_digits, importance=importance)
    for name in ("conv2", "fc1", "fc2"):
        assert (_groups(work.module.get_submodule(name).weight, 4).count_nonzero(1) == 2).all()


def test_what_is_kept_is_as_it_was_and_larger_than_its_neighbours(lenet5, few_digits):
    after = _pruned(lenet5, few_digits, n=1, m=5).module.conv2.weight
    kept, before = _groups(after, 5), _groups(lenet5.conv2.weight, 5)
    assert torch.equal(kept.abs().amax(1), before.abs().amax(1))
    assert torch.equal(after, lenet5.conv2.weight * (after != 0))


def test_a_layer_that_does_not_divide_is_left_whole_and_named(lenet5, few_digits):
    work = _pruned(lenet5, few_digits)
    assert torch.equal(work.module.conv1.weight, lenet5.conv1.weight)
    assert work.notes[0] == "Left whole, as their inputs don't divide by 4: conv1."


def test_a_layer_can_be_left_whole(lenet5, few_digits):
    work = _pruned(lenet5, few_digits, layers={"fc2": 0.0})
    assert torch.equal(work.module.fc2.weight, lenet5.fc2.weight)
    assert (work.module.fc1.weight == 0).any()


def test_zeros_survive_training(lenet5, few_digits):
    work = _pruned(lenet5, few_digits, n=1, m=5)
    before = copy.deepcopy(work.module)
    Finetune().apply(work, Context(few_digits, lenet5))
    assert weight_hash(work.module) != weight_hash(before)
    assert torch.equal(work.module.fc1.weight == 0, before.fc1.weight == 0)


def test_doing_it_twice_changes_nothing_more(lenet5, few_digits):
    once = _pruned(lenet5, few_digits)
    assert weight_hash(_pruned(once.module, few_digits).module) == weight_hash(once.module)


def test_zeros_of_an_earlier_pruning_are_kept_too(lenet5, few_digits):
    work, context = Work(lenet5), Context(few_digits, copy.deepcopy(lenet5))
    Prune(granularity="weight", ratio=0.6).apply(work, context)
    zeros = {name: parameter == 0 for name, parameter in work.module.named_parameters()}
    Prune(granularity="n:m").apply(work, context)
    Finetune().apply(work, context)
    assert all((parameter[zeros[name]] == 0).all() for name, parameter in work.module.named_parameters())


def test_a_transposed_convolution_counts_along_its_own_inputs(few_digits):
    module = nn.Sequential(nn.ConvTranspose2d(8, 3, 2, bias=False))
    weight = _pruned(module, few_digits).module[0].weight  # (inputs, outputs, height, width)
    assert (weight.movedim(0, -1).reshape(-1, 4).count_nonzero(1) == 2).all()


def test_the_notes_say_that_it_brings_no_speed_here(lenet5, few_digits):
    work = _pruned(lenet5, few_digits)
    assert "no 2:4 kernels" in work.notes[-1] and "neither smaller nor faster" in work.notes[-1]
    assert not work.simulated, "the dense kernels compute the very same numbers"


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"n": 4, "m": 4}, "Keeping 4 of every 4 weights removes nothing. Choose an N below M"),
        ({"n": 1, "m": 7}, "No layer's inputs divide by 7, so none can keep 1 of every 7"),
        ({"layers": {"fc1": 0.3}}, "With N:M a layer can't have a ratio of its own"),
        ({"layers": {"fc9": 0.0}}, "no layer 'fc9' to prune. Did you mean 'fc"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(lenet5, few_digits, knobs, said):
    work = Work(copy.deepcopy(lenet5))
    with pytest.raises(WorkbenchError) as refusal:
        Prune(granularity="n:m", **knobs).apply(work, Context(few_digits, lenet5))
    assert said in str(refusal.value)
    assert weight_hash(work.module) == weight_hash(lenet5)
