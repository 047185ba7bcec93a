"""Mixed precision: what is decided, and that it is told."""

import re

import pytest
import torch
from torch import nn

from workbench import Finetune
from workbench.models import MODELS
from workbench.steps.base import Context
from workbench.training import precision, train
from workbench.weights import weight_hash


def _fresh() -> nn.Module:
    torch.manual_seed(0)
    return MODELS["lenet5"].build(1, 10)


@pytest.mark.parametrize(
    ("wanted", "ratio", "bfloat16", "said"),
    [
        ("float32", 0.1, False, ""),
        ("bfloat16", 0.5, True, "takes 0.50 times as long as one in float32."),
        ("bfloat16", 1.7, True, "takes 1.70 times as long as one in float32: precision float32 trains faster."),
        ("fastest", 0.5, True, "takes 0.50 times as long as one in float32, so training used it."),
        ("fastest", 1.7, False, "takes 1.70 times as long as one in float32, so training stayed in float32."),
        ("fastest", 0.99, False, "so training stayed in float32."),
    ],
)
def test_what_pays_is_used_and_what_was_measured_is_said(monkeypatch, wanted, ratio, bfloat16, said):
    monkeypatch.setattr(precision, "measure", lambda module, inputs, device: ratio)
    decided = precision.decide(wanted, _fresh(), torch.zeros(2, 1, 28, 28), "cpu")
    assert decided.bfloat16 == bfloat16
    assert said in decided.sentence
    assert bool(decided.sentence) == bool(said)


def test_measuring_is_a_ratio_and_leaves_model_and_chance_alone():
    module = nn.Sequential(_fresh(), nn.Dropout(0.5), nn.BatchNorm1d(10)).eval()
    inputs = torch.rand(8, 1, 28, 28)
    before, chance = weight_hash(module), torch.get_rng_state()
    assert precision.measure(module, inputs, "cpu") > 0
    assert weight_hash(module) == before
    assert not module.training
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(p.grad is None for p in module.parameters())


def test_bfloat16_is_what_layers_compute_in_and_the_weights_stay_float32(few_digits):
    module, seen, notes = _fresh(), set(), []
    module.fc1.register_forward_hook(lambda layer, inputs, output: seen.add((layer.training, output.dtype)))
    settings = Finetune(epochs=2, precision="bfloat16", learning_rate=0.003)
    reached = train(module, few_digits, settings, context=Context(few_digits, module), notes=notes)
    assert seen == {(True, torch.bfloat16), (True, torch.float32), (False, torch.float32)}  # measured, trained; judged
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    assert reached > 0.5
    assert re.fullmatch(r"Here an update with bfloat16 autocast takes [\d.]+ times as long .*\.", notes[0])
