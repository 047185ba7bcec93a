"""Convolutions are laid out with their channels last where the model can run so; all others stay as they are."""

import pytest
import torch
from torch import nn

from workbench import Dataset, Finetune
from workbench.layout import channels_last
from workbench.steps.base import Context
from workbench.training import train


class Viewing(nn.Module):
    """A network that flattens by `view`, as much code does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Conv2d(1, 8, 5, 4), nn.Linear(288, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.out(x.view(x.size(0), -1))


def _last(weight: torch.Tensor) -> bool:
    return weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()


def test_convolutions_are_laid_out_anew_and_compute_the_same() -> None:
    module, inputs = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten()), torch.randn(2, 3, 8, 8)
    module.eval()
    expected = module(inputs)
    assert channels_last(module, inputs) and _last(module[0].weight)
    assert torch.allclose(module(inputs), expected, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_it_stays_in_its_mode_and_learns_nothing_from_the_trial(training: bool) -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).train(training)
    channels_last(module, torch.randn(2, 3, 8, 8))
    assert module.training is training and module[1].training is training
    assert (module[1].running_mean == 0).all()


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (Viewing(), (1, 1, 28, 28)),
        (nn.Sequential(nn.Conv3d(1, 2, 3), nn.Flatten()), (1, 1, 4, 4, 4)),
        (nn.Sequential(nn.Linear(4, 2)), (1, 4)),
    ],
)
def test_what_cannot_run_so_stays_as_it_is(module: nn.Module, shape: tuple[int, ...]) -> None:
    inputs = torch.randn(shape)
    expected = module(inputs)
    assert not channels_last(module, inputs)
    assert all(parameter.is_contiguous() for parameter in module.parameters())
    assert torch.equal(module(inputs), expected)


def test_a_model_that_flattens_by_view_can_be_trained(few_digits: Dataset) -> None:
    module = Viewing()
    train(module, few_digits, Finetune(epochs=1), context=Context(few_digits, module))
    assert module.first.weight.is_contiguous()
