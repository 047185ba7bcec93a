"""What is laid on a model holds through training, and leaves plain weights behind."""

import copy

import pytest
import torch
from torch import nn

from workbench import Finetune
from workbench.constraints import KeepZeros, parametrized
from workbench.steps.base import Context
from workbench.training import train
from workbench.weights import weight_hash


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_zeros_stay_zero_and_the_others_learn(lenet5, few_digits, optimizer):
    layers = {name: m for name, m in lenet5.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in layers.values():
            layer.weight[torch.rand(layer.weight.shape) < 0.8] = 0
    before = {name: layer.weight.clone() for name, layer in layers.items()}
    names = {f"{name}.weight" for name in layers}
    settings = Finetune(epochs=2, optimizer=optimizer, learning_rate=0.01, weight_decay=0.01)
    train(lenet5, few_digits, settings, context=Context(few_digits, lenet5), constraints=[KeepZeros(names)])
    for name, layer in layers.items():
        assert not layer.weight[before[name] == 0].any()
        assert not torch.equal(layer.weight, before[name])
    assert names <= set(dict(lenet5.named_parameters())), "the weights are plain parameters again"


def test_a_parameter_that_is_gone_is_passed_over(lenet5):
    before = weight_hash(lenet5)
    with KeepZeros(["no.such.weight"]).held(lenet5):
        assert weight_hash(lenet5) == before
    assert weight_hash(lenet5) == before


def test_constraints_on_one_parameter_follow_each_other_and_bake_in(lenet5):
    class Double(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight * 2

    name, before = next(iter(lenet5.named_parameters()))
    before = before.detach().clone()
    with parametrized(lenet5, {name: Double()}), parametrized(lenet5, {name: Double()}):
        pass
    assert torch.equal(dict(lenet5.named_parameters())[name], before * 4)


def test_they_let_go_when_training_breaks_off(lenet5):
    names = sorted(copy.deepcopy(lenet5).state_dict())
    with pytest.raises(RuntimeError, match="stop"), KeepZeros(["conv1.weight", names[0]]).held(lenet5):
        raise RuntimeError("stop")
    assert sorted(lenet5.state_dict()) == names
