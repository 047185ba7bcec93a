"""Scores of single weights: each is that of its formula, on a model small enough to reckon by hand."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench import Dataset
from workbench.pruning.scores import SCORES
from workbench.steps.base import Context

EVERY_SCORE = pytest.mark.parametrize("importance", list(SCORES))
FIGURES = Dataset(
    train=(np.random.default_rng(0).random((60, 4), np.float32), np.arange(60) % 3), name="figures", mean=0.0, std=1.0
)


def _linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 3)


def _scores(module: nn.Module, importance: str, seed: int = 0, dataset: Dataset = FIGURES) -> dict:
    names = [name for name, _ in module.named_parameters() if name.endswith("weight")]
    return SCORES[importance](module, names, Context(dataset, module, seed))


def _sample_gradients(module: nn.Linear) -> torch.Tensor:
    """Of each calibration sample's cross-entropy, by hand: (softmax - label) times input; shape (N, out, in)."""
    split = FIGURES.calibration
    inputs = torch.from_numpy(FIGURES.prepare(split.inputs))
    with torch.no_grad():
        errors = F.softmax(module(inputs), 1) - F.one_hot(torch.from_numpy(split.labels), 3)
    return errors[:, :, None] * inputs[:, None, :]


@EVERY_SCORE
def test_it_gives_every_weight_a_score_and_leaves_the_model_alone(importance, lenet5, few_digits):
    before = copy.deepcopy(lenet5.state_dict())
    for name, score in _scores(lenet5, importance, dataset=few_digits).items():
        assert score.shape == before[name].shape
        assert score.isfinite().all() and (score >= 0).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in lenet5.state_dict().items())
    assert all(p.grad is None for p in lenet5.parameters())


@EVERY_SCORE
def test_it_is_the_same_again_and_only_chance_depends_on_the_seed(importance):
    module = nn.Sequential(_linear())
    one, same, other = (_scores(module, importance, seed)["0.weight"] for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert torch.equal(one, other) == (importance != "random")


@pytest.mark.parametrize("importance", ["l1", "l2"])
def test_magnitude_is_the_absolute_value(importance):
    module = nn.Sequential(_linear())
    assert torch.equal(_scores(module, importance)["0.weight"], module[0].weight.abs())


def test_taylor_is_weight_times_gradient():
    module = nn.Sequential(_linear())
    expected = (module[0].weight * _sample_gradients(module[0]).sum(0)).abs()
    assert torch.allclose(_scores(module, "taylor")["0.weight"], expected, rtol=1e-4)


def test_hessian_is_half_the_mean_squared_gradient_times_the_squared_weight():
    module = nn.Sequential(_linear())
    expected = _sample_gradients(module[0]).square().mean(0) * module[0].weight.square() / 2
    assert torch.allclose(_scores(module, "hessian")["0.weight"], expected, rtol=1e-4)


def test_hessian_sees_what_first_order_misses_where_gradients_cancel():
    inputs = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)  # the first feature says nothing of the class
    dataset = Dataset(train=(inputs, np.array([0, 1, 0, 1])), validation=(inputs, np.array([0, 1, 0, 1])))
    module = nn.Sequential(nn.Linear(2, 2, bias=False))
    nn.init.ones_(module[0].weight)
    assert _scores(module, "taylor", dataset=dataset)["0.weight"].abs().max() < 1e-6
    assert _scores(module, "hessian", dataset=dataset)["0.weight"].min() > 0.05


def test_lamp_divides_each_squared_weight_by_the_sum_of_those_as_large_or_larger():
    module = nn.Sequential(nn.Linear(2, 2, bias=False))
    module[0].weight.data = torch.tensor([[3.0, -1.0], [2.0, -4.0]])
    expected = torch.tensor([[9 / (9 + 16), 1 / (1 + 4 + 9 + 16)], [4 / (4 + 9 + 16), 1.0]], dtype=torch.float64)
    assert torch.allclose(_scores(module, "lamp")["0.weight"], expected)


def test_lamp_keeps_the_order_of_magnitude_within_a_layer_and_knows_no_scale(lenet5, few_digits):
    for name, score in _scores(lenet5, "lamp", dataset=few_digits).items():
        weight = lenet5.get_parameter(name).detach().flatten()
        assert (score.flatten()[weight.abs().argsort(stable=True)].diff() >= 0).all()
        assert score.max() == 1.0
    with torch.no_grad():
        before = _scores(lenet5, "lamp", dataset=few_digits)["fc1.weight"]
        lenet5.fc1.weight *= 64
    assert torch.allclose(_scores(lenet5, "lamp", dataset=few_digits)["fc1.weight"], before)
