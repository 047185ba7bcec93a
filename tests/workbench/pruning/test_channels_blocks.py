"""Whole blocks: what leaves the output as it was goes first, and the shortcut stays."""

import copy

import pytest
import torch
from torch import nn

from workbench import Dataset, Prune, WorkbenchError
from workbench.models import MODELS
from workbench.pruning.blocks import Skip, block_groups
from workbench.pruning.plan import replay
from workbench.steps.base import Context, Work


@pytest.fixture(scope="module")
def images(few_digits: Dataset) -> Dataset:
    train, validation = ((split.inputs[:32], split.labels[:32]) for split in (few_digits.train, few_digits.validation))
    return Dataset(train=train, validation=validation, classes=few_digits.classes)


@pytest.fixture
def resnet() -> nn.Module:
    torch.manual_seed(0)
    return MODELS["resnet20"].build(1, 10).eval()


def _inputs(images: Dataset) -> torch.Tensor:
    return torch.from_numpy(images.prepare(images.train.inputs[:3]))


def test_the_blocks_of_a_residual_network_that_keep_its_shape_can_go(resnet, images):
    names = [group.name for group in block_groups(resnet, _inputs(images))[0]]
    assert names == [f"blocks.{index}" for index in (0, 1, 2, 4, 5, 7, 8)]  # 3 and 6 halve the image


@pytest.mark.parametrize("importance", ["ablation", "taylor"])
def test_the_block_that_changes_nothing_goes_first_and_the_outputs_stay(resnet, images, importance):
    with torch.no_grad():
        nothing = resnet.blocks[5]
        nothing.conv2.weight.mul_(1e-9)
        nothing.bn2.running_mean.zero_()
    expected = resnet(_inputs(images))
    work = Work(copy.deepcopy(resnet))
    Prune(granularity="block", importance=importance, ratio=0.14).apply(work, Context(images, resnet))
    assert work.plan == [{"edit": "block", "block": "blocks.5"}]
    assert isinstance(work.module.blocks[5], Skip)
    assert torch.allclose(work.module(_inputs(images)), expected, atol=1e-5)


def test_the_share_is_of_the_blocks_that_can_go_and_the_plan_makes_it_again(resnet, images):
    work = Work(copy.deepcopy(resnet))
    Prune(granularity="block", ratio=0.57).apply(work, Context(images, resnet))
    assert len(work.plan) == 4
    again = copy.deepcopy(resnet)
    replay(again, _inputs(images), work.plan)
    again.load_state_dict(work.module.state_dict())
    assert torch.equal(again(_inputs(images)), work.module(_inputs(images)))


def test_a_block_can_be_kept_but_not_go_in_part(resnet, images):
    context = Context(images, resnet)
    work = Work(copy.deepcopy(resnet))
    Prune(granularity="block", ratio=0.95, layers={"blocks.1": 0.0}).apply(work, context)
    assert {edit["block"] for edit in work.plan} == {f"blocks.{index}" for index in (0, 2, 4, 5, 7, 8)}
    with pytest.raises(WorkbenchError, match=r"'blocks.1' goes whole or stays. Give it 0 to keep it"):
        Prune(granularity="block", layers={"blocks.1": 0.3}).apply(Work(resnet), context)


def test_a_model_without_such_blocks_is_refused(lenet5, few_digits):
    with pytest.raises(WorkbenchError, match="no blocks that it can do without"):
        Prune(granularity="block").apply(Work(lenet5), Context(few_digits, lenet5))
