"""A model that is changed for a moment is what the recipe would make of it, and afterwards what it was."""

import copy

import pytest
import torch
from torch import nn

from workbench import Dataset, Distill, Finetune, Prune, Quantize, Recipe, ShareWeights, Study
from workbench.carry_out import context_of
from workbench.prediction.changes import Changes
from workbench.prediction.prospect import follow
from workbench.quantization.grids import weight_grid
from workbench.steps.base import Work

WEIGHTS = {"granularity": "weight", "importance": "l1"}


@pytest.fixture(scope="module")
def study(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study("lenet5", digits, path=tmp_path_factory.mktemp("changes"))


def _changed(study: Study, *steps) -> tuple[str, dict[str, torch.Tensor]] | None:
    """The name of the change, and the weights while it is entered; checks that they are as before afterwards."""
    module = copy.deepcopy(study.module)
    change = Changes(module, study.outline).of(follow(Recipe(list(steps)), study.outline, study.runtime))
    if change is None:
        return None
    with change[1]():
        inside = {name: p.detach().clone() for name, p in module.named_parameters()}
    assert all(torch.equal(p, study.module.get_parameter(name)) for name, p in module.named_parameters())
    return change[0], inside


def _applied(study: Study, step) -> nn.Module:
    work = Work(copy.deepcopy(study.module))
    step.apply(work, context_of(study, 0))
    return work.module


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize(("importance", "ratio"), [("l1", 0.0), ("l1", 0.3), ("l1", 0.9), ("taylor", 0.5)])
def test_small_weights_are_zero_as_if_they_were_pruned(scope, importance, ratio, study):
    step = Prune(ratio=ratio, scope=scope, granularity="weight", importance=importance)
    _, inside = _changed(study, step)
    expected = _applied(study, step)
    assert all(torch.equal(inside[name], p) for name, p in expected.named_parameters())


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
def test_weights_are_rounded_to_a_grid_for_each_channel(bits, study):
    _, inside = _changed(study, Quantize(weight_bits=bits, simulate=True))
    for name in ("conv1.weight", "fc2.weight"):
        weight = study.module.get_parameter(name).detach()
        assert torch.equal(inside[name], weight_grid(weight, bits).nearest(weight))


def test_layers_have_their_own_bits(study):
    _, inside = _changed(study, Quantize(weight_bits=8, layers={"conv2": 3}, simulate=True))
    weight = study.module.get_parameter("conv2.weight").detach()
    assert torch.equal(inside["conv2.weight"], weight_grid(weight, 3).nearest(weight))
    assert torch.equal(inside["conv1.weight"], study.module.get_parameter("conv1.weight"))


def test_what_is_zero_stays_zero_when_it_is_rounded(study):
    _, inside = _changed(study, Prune(ratio=0.6, **WEIGHTS), Quantize(weight_bits=6, simulate=True))
    zeros = _applied(study, Prune(ratio=0.6, **WEIGHTS)).get_parameter("fc1.weight") == 0
    assert zeros.float().mean() == pytest.approx(0.6, abs=0.01)
    assert (inside["fc1.weight"][zeros] == 0).all() and (inside["fc1.weight"][~zeros] != 0).any()


def test_a_weight_that_goes_by_two_names_is_as_before_afterwards(study):
    module = copy.deepcopy(study.module)
    module.again = module.fc1
    step, before = Prune(ratio=0.5, **WEIGHTS), module.fc1.weight.detach().clone()
    with Changes(module, study.outline).of(follow(Recipe([step]), study.outline, study.runtime))[1]():
        assert (module.again.weight == 0).any()
    assert torch.equal(module.again.weight, before)


def test_channels_that_go_are_not_taken_in(study):
    _, inside = _changed(study, Prune(ratio=0.5))
    gone = (inside["conv2.weight"] == 0).all(dim=3).all(dim=2).all(dim=0)
    assert 0 < gone.sum() < len(gone)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([Prune(ratio=0.3)], [Prune(ratio=0.6)]),
        ([Prune(ratio=0.5)], [Prune(ratio=0.5, importance="l1")]),
        ([Prune(ratio=0.5, **WEIGHTS)], [Prune(ratio=0.5, scope="global", **WEIGHTS)]),
        ([Quantize(weight_bits=4, simulate=True)], [Quantize(weight_bits=3, simulate=True)]),
        ([Prune(ratio=0.5)], [Prune(ratio=0.5), Quantize(weight_bits=4, simulate=True)]),
    ],
)
def test_other_changes_have_other_names(one, other, study):
    assert _changed(study, *one)[0] != _changed(study, *other)[0]


@pytest.mark.parametrize("more", [Finetune(), Quantize()])
def test_training_and_eight_bits_are_no_change_of_their_own(more, study):
    assert _changed(study, Prune(ratio=0.5), more)[0] == _changed(study, Prune(ratio=0.5))[0]
    name, inside = _changed(study, more)
    assert name == "" and all(torch.equal(p, inside[key]) for key, p in study.module.named_parameters())


@pytest.mark.parametrize(
    "steps",
    [
        [Prune(importance="ablation")],
        [Prune(granularity="weight", importance="l1", threshold=0.1)],
        [Prune(granularity="weight", importance="l1", target="parameters")],
        [Prune(granularity="weight", importance="l1", scope="global", layers={"fc1": 0.2})],
        [Prune(ratio=0.3), Prune(ratio=0.3)],
        [Prune(ratio=0.3), Distill(fresh=True)],
        [Prune(importance="ablation"), Quantize(weight_bits=4, simulate=True)],
        [ShareWeights(bits=3)],
    ],
)
def test_what_is_not_known_beforehand_is_no_change(steps, study):
    assert _changed(study, *steps) is None


def test_of_large_models_no_weights_are_rounded_nor_put_in_order(study, monkeypatch, tmp_path):
    monkeypatch.setattr("workbench.prediction.zeros.LARGEST", 1000)
    other = Study("lenet5", study.dataset, path=tmp_path)
    assert _changed(other, Quantize(weight_bits=4, simulate=True)) is None
    assert _changed(other, Prune(ratio=0.5, **WEIGHTS)) is None
    assert _changed(other, Prune(ratio=0.5)) is not None
