"""Multiply-accumulates, of a model and of its layers."""

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Prune
from workbench.macs import count_macs, layer_macs, weight_uses
from workbench.models import MODELS
from workbench.steps.base import Context, Work

IMAGE = np.zeros((1, 1, 28, 28), np.float32)


@pytest.mark.parametrize(
    ("model", "shape", "macs", "parameters"),
    [
        ("lenet300", (1, 28, 28), 266_200, 266_610),
        ("lenet5", (1, 28, 28), 2_293_000, 431_080),
        ("resnet20", (3, 32, 32), 40_813_184, 272_474),
    ],
)
def test_the_counts_are_those_of_the_literature(model, shape, macs, parameters):
    module = MODELS[model].build(shape[0], 10)
    assert sum(p.numel() for p in module.parameters()) == pytest.approx(parameters, rel=0.02)
    assert count_macs(module, np.zeros((1, *shape), np.float32)) == pytest.approx(macs, rel=0.02)


def test_half_the_channels_do_about_a_quarter_of_the_work(digits, lenet5):
    work = Work(lenet5)
    before = count_macs(lenet5, IMAGE)
    Prune(ratio=0.5).apply(work, Context(digits, lenet5))
    # the first layer has one input channel: its work is halved only
    assert count_macs(work.module, IMAGE) == 144_000 + 400_000 + 100_000 + 2_500 < 0.3 * before


class Twice(nn.Module):
    """Uses one layer at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.conv(x))


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (MODELS["lenet5"].build(1, 10), (1, 28, 28)),
        (MODELS["resnet20"].build(3, 10), (3, 32, 32)),
        (nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, groups=4), nn.ConvTranspose2d(8, 4, 3, stride=2)), (4, 9, 9)),
        (Twice(), (4, 5, 5)),
        (nn.Linear(5, 3), (7, 5)),
    ],
)
def test_weights_times_their_uses_are_the_work_of_the_model(module, shape):
    example = np.zeros((1, *shape), np.float32)
    layers = layer_macs(module, example)
    assert layers.keys() == weight_uses(module, example).keys()
    assert sum(layers.values()) == count_macs(module, example)
