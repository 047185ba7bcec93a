"""What a narrower model lost of what the whole one says."""

import copy
import math

import pytest
import torch
from torch import nn

from workbench import Prune
from workbench.pruning.damage import LEAST, Damage, lost
from workbench.pruning.groups import Group, Member
from workbench.pruning.structured import Structure
from workbench.steps.base import Work


@pytest.fixture
def outputs() -> torch.Tensor:
    return torch.randn(400, 10, generator=torch.Generator().manual_seed(0))


def test_outputs_of_another_scale_and_offset_have_lost_nothing(outputs):
    assert lost(outputs, outputs) == pytest.approx(0, abs=1e-9)
    assert lost(outputs, 0.3 * outputs + 7) == pytest.approx(0, abs=1e-6)


def test_noise_that_is_half_of_the_variance_loses_a_factor_of_two(outputs):
    noise = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1))
    assert lost(outputs, outputs + noise) == pytest.approx(math.log(2), abs=0.1)


@pytest.mark.parametrize("ruined", [torch.zeros(400, 10), torch.full((400, 10), torch.nan)], ids=["constant", "NaN"])
def test_outputs_that_tell_nothing_have_lost_the_most_that_is_counted(outputs, ruined):
    assert lost(outputs, ruined) == pytest.approx(-math.log(LEAST))


def test_damage_is_that_of_the_cut_model_and_grows_with_the_cuts(lenet5, context):
    structure = Structure(Work(lenet5), Prune(), context)
    inputs = torch.from_numpy(context.dataset.prepare(context.dataset.calibration.inputs[:64]))
    damage = Damage(lenet5, structure.groups, structure.scores, inputs)
    whole = [group.units for group in structure.groups]
    assert damage(whole) == pytest.approx(0, abs=1e-9)
    half = damage([units // 2 for units in whole])
    assert half == pytest.approx(lost(lenet5(inputs).detach(), structure.at(0.5).module(inputs).detach()), rel=1e-3)
    assert 0 < damage([whole[0], whole[1], whole[2] // 2]) < half < damage([units // 8 for units in whole])


def test_a_shift_before_a_batch_norm_is_no_damage_and_the_module_stays_as_it_was(outputs):
    module = nn.Sequential(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        module[0].weight[:4], module[0].bias[:4] = 0, 3  # constants, which the old statistics take for more
    before = copy.deepcopy(module.state_dict())
    every = torch.arange(8)[:, None]
    group = Group("0", ("0",), 8, [Member("in", "3", "3.weight", 1, every, every)])
    damage = Damage(module, [group], [torch.arange(8.0)], outputs)
    assert damage([4]) == pytest.approx(0, abs=1e-6)
    assert damage([2]) > 0.1
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert not any(part.training for part in module.modules())
