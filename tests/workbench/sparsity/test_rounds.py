"""Iterative pruning and the lottery: rounds of training and pruning, with or without going back."""

import copy

import pytest
import torch
from torch import nn

from workbench import Sparsify, WorkbenchError
from workbench.sparsity import METHODS, lottery
from workbench.steps.base import Context, Work
from workbench.weights import weight_hash

NAMES = ["conv1", "conv2", "fc1", "fc2"]


def _share(module: nn.Module) -> float:
    weights = [module.get_submodule(name).weight for name in NAMES]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


@pytest.fixture
def trainings(monkeypatch) -> list[nn.Module]:
    """The model as it was before each training."""
    seen: list[nn.Module] = []
    learn = Sparsify.learn

    def noted(self: Sparsify, work: Work, context: Context, *more, **others) -> float:
        seen.append(copy.deepcopy(work.module))
        return learn(self, work, context, *more, **others)

    monkeypatch.setattr(Sparsify, "learn", noted)
    return seen


def test_each_round_removes_the_same_share_of_what_is_left(lenet5, few_digits, trainings):
    work = Work(lenet5)
    Sparsify(method="iterative", ratio=0.875, rounds=3).apply(work, Context(few_digits, lenet5))
    assert [_share(module) for module in trainings] == pytest.approx([0.5, 0.75, 0.875], abs=1e-4)
    assert _share(work.module) == pytest.approx(0.875, abs=1e-4)


def test_a_later_round_ranks_what_the_earlier_training_left(lenet5, few_digits, trainings):
    work = Work(lenet5)
    Sparsify(method="iterative", ratio=0.75, rounds=2).apply(work, Context(few_digits, lenet5))
    first, second = (module.fc1.weight for module in trainings)
    assert (second[first == 0] == 0).all()
    gone = (second == 0) & (first != 0)
    assert second[second != 0].abs().min() > first[gone].abs().median()


@pytest.mark.parametrize("fresh", [False, True])
def test_the_kept_weights_equal_the_first_ones_before_each_training(fresh, lenet5, few_digits, trainings):
    given = copy.deepcopy(lenet5)
    work = Work(lenet5)
    Sparsify(method="lottery", ratio=0.75, rounds=2, fresh=fresh).apply(work, Context(few_digits, given))
    start, *rewound = trainings
    assert (weight_hash(start) == weight_hash(given)) == (not fresh)
    assert [_share(module) for module in rewound] == pytest.approx([0.5, 0.75], abs=1e-4)
    for module in rewound:
        for name, tensor in module.named_parameters():
            first = start.get_parameter(name)
            assert torch.equal(tensor, first * (tensor != 0) if name.endswith("weight") else first), name
    assert weight_hash(work.module) != weight_hash(rewound[-1]), "the ticket is trained in the end"


def test_the_ticket_is_drawn_by_the_trained_weights_not_by_the_first_ones(lenet5, few_digits, trainings):
    Sparsify(method="lottery", ratio=0.5, rounds=1, fresh=True, epochs=2).apply(
        Work(lenet5), Context(few_digits, copy.deepcopy(lenet5))
    )
    start, rewound = (module.fc2.weight for module in trainings)
    gone = rewound == 0
    assert start[gone].abs().max() > start[~gone].abs().min()


def test_they_can_be_rewound_to_an_early_epoch(lenet5, few_digits, trainings):
    work = Work(lenet5)
    Sparsify(method="lottery", ratio=0.5, rounds=1, rewind=1, fresh=True).apply(work, Context(few_digits, lenet5))
    start, early, rewound = trainings
    assert weight_hash(early) != weight_hash(start)
    assert torch.equal(rewound.fc1.weight, early.fc1.weight * (rewound.fc1.weight != 0))
    assert torch.equal(rewound.fc1.bias, early.fc1.bias)


def test_batch_norms_go_back_as_well():
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    start = copy.deepcopy(module.state_dict())
    module(torch.rand(8, 3))
    lottery.rewind(module, start)
    assert torch.equal(module[1].running_mean, start["1.running_mean"])
    assert module[1].num_batches_tracked == 0


def test_a_fresh_start_depends_on_the_seed_alone(lenet5):
    one, same, other = (copy.deepcopy(lenet5) for _ in range(3))
    for module, seed in ((one, 0), (same, 0), (other, 1)):
        torch.rand(3)
        lottery.draw_weights(module, seed)
    assert weight_hash(one) == weight_hash(same) != weight_hash(other)


@pytest.mark.parametrize("method", list(METHODS))
def test_the_same_seed_gives_the_same_weights(method, lenet5, few_digits):
    hashes = []
    for seed in (0, 0, 1):
        work = Work(copy.deepcopy(lenet5))
        Sparsify(method=method, rounds=1, ratio=0.5, fresh=True).apply(work, Context(few_digits, lenet5, seed))
        hashes.append(weight_hash(work.module))
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("method", list(METHODS))
def test_the_progress_runs_from_nothing_to_all_and_never_back(method, lenet5, few_digits):
    told: list[float] = []
    context = Context(
        few_digits, lenet5, report=lambda **facts: told.append(facts.get("share", told[-1] if told else 0))
    )
    Sparsify(method=method, rounds=2, rewind=1, ratio=0.5).apply(Work(copy.deepcopy(lenet5)), context)
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("method", list(METHODS))
def test_an_unknown_layer_is_refused(method, lenet5, few_digits):
    with pytest.raises(WorkbenchError, match=r"no layer 'fc7' to prune\. Did you mean 'fc"):
        Sparsify(method=method, layers={"fc7": 0.5}).apply(Work(lenet5), Context(few_digits, lenet5))
