"""What makes each importance of channels that importance: by its formula, on models small enough to do by hand."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch_pruning as tp
from torch import Tensor, nn

from workbench import Dataset, Prune, WorkbenchError
from workbench.pruning.channels import channel_groups
from workbench.pruning.importance import IMPORTANCES
from workbench.steps.base import Context, Work

RANDOM = np.random.default_rng(0)
IMAGES = Dataset(train=(RANDOM.normal(size=(64, 1, 8, 8)).astype(np.float32), np.arange(64) % 3), name="images")
EXAMPLE = torch.from_numpy(IMAGES.train.inputs[:2])


class Small(nn.Module):
    """Two convolutions with batch-norm, then pixels as features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 5, 3), nn.BatchNorm2d(5)
        self.fc = nn.Linear(5 * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return self.fc(F.relu(self.bn2(self.conv2(x))).flatten(1))


@pytest.fixture
def small() -> nn.Module:
    torch.manual_seed(0)
    module = Small().eval()
    with torch.no_grad():
        for norm in (module.bn1, module.bn2):
            norm.weight.normal_()
            norm.bias.normal_()
    return module


def _scores(module: nn.Module, importance: str, seed: int = 0) -> list[Tensor]:
    """Those of conv1, and those of conv2."""
    groups = sorted(channel_groups(module, EXAMPLE)[0], key=lambda group: group.name)
    return IMPORTANCES[importance](groups, module, Context(IMAGES, module, seed))


def _same(scores: Tensor, expected: Tensor) -> bool:
    """Whether they are equal but for a common factor, which no choice depends on."""
    return torch.allclose(scores / scores.mean(), expected / expected.mean(), rtol=1e-4)


def _removed(module: nn.Module, layer: str, **knobs) -> list[int]:
    work = Work(copy.deepcopy(module))
    Prune(**knobs).apply(work, Context(IMAGES, module))
    return next(edit["indices"] for edit in work.plan if edit["layer"] == layer)


@pytest.mark.parametrize(("importance", "power"), [("l1", 1), ("l2", 2)])
def test_a_norm_is_of_the_filter_alone(small, importance, power):
    first, second = _scores(small, importance)
    assert _same(first, small.conv1.weight.abs().pow(power).flatten(1).sum(1))
    assert _same(second, small.conv2.weight.abs().pow(power).flatten(1).sum(1))


def test_the_group_norm_is_of_all_that_goes_with_the_channel(small):
    filters, scale = small.conv1.weight.square().flatten(1).sum(1), small.bn1.weight.square()
    taken = small.conv2.weight.square().sum((0, 2, 3))
    assert _same(_scores(small, "group")[0], filters + scale + taken)
    flat = small.fc.weight.square().sum(0).view(5, 16).sum(1)  # sixteen pixels of each channel
    assert _same(_scores(small, "group")[1], small.conv2.weight.square().flatten(1).sum(1) + small.bn2.weight**2 + flat)


def test_a_channel_that_the_next_layer_ignores_goes_by_the_group_norm_alone(small):
    with torch.no_grad():
        small.bn1.weight.fill_(2.0)
        small.conv1.weight[4] = 0.5  # the largest filter, which nothing takes in
        small.bn1.weight[4] = small.conv2.weight[:, 4] = 0.0
        small.conv1.weight[2] = 0.01  # the smallest
    assert _removed(small, "conv1", ratio=0.17, importance="group") == [4]
    assert _removed(small, "conv1", ratio=0.17, importance="l2") == [2]


def test_batch_norm_goes_by_the_smallest_scale(small):
    with torch.no_grad():
        small.bn1.weight.copy_(torch.tensor([0.5, -0.9, 0.01, 3.0, -0.4, 0.6]))
        small.conv1.weight[2] = 100.0
    assert torch.equal(_scores(small, "bn")[0], small.bn1.weight.abs())
    assert _removed(small, "conv1", ratio=0.17, importance="bn") == [2]


def test_batch_norm_leaves_alone_what_has_none_and_refuses_a_model_without(small, lenet5, few_digits):
    small.bn2 = nn.Identity()
    work = Work(small)
    Prune(importance="bn").apply(work, Context(IMAGES, small))
    assert (small.conv1.out_channels, work.module.conv1.out_channels, work.module.conv2.out_channels) == (6, 3, 5)
    assert work.notes == ["Left whole, as 'bn' has nothing to rank them by: conv2."]
    with pytest.raises(WorkbenchError, match=r"no batch-norm whose scales could rank.*another importance"):
        Prune(importance="bn").apply(Work(lenet5), Context(few_digits, lenet5))


def _gradient(module: nn.Module, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    F.cross_entropy(module(inputs), labels, reduction="sum").backward()
    return {name: parameter.grad.clone() for name, parameter in module.named_parameters()}


def test_taylor_is_weight_times_gradient_and_hessian_the_weight_squared_times_squared_gradients(small):
    split = IMAGES.calibration
    inputs, labels = torch.from_numpy(split.inputs), torch.from_numpy(split.labels)
    whole = _gradient(small, inputs, labels)
    single = [_gradient(small, x[None], y[None]) for x, y in zip(inputs, labels, strict=True)]
    squares = {name: torch.stack([g[name] for g in single]).square().mean(0) for name in whole}

    def taken(rows: dict[str, Tensor]) -> Tensor:  # one sum for each weight that goes with a channel of conv1
        return (
            rows["conv1.weight"].flatten(1).sum(1) + rows["bn1.weight"] + rows["conv2.weight"].sum((0, 2, 3))
        ).detach()

    parameters = dict(small.named_parameters())
    taylor = taken({name: (p * whole[name]).abs() for name, p in parameters.items()})
    hessian = taken({name: p**2 * squares[name] / 2 for name, p in parameters.items()})
    assert torch.allclose(_scores(small, "taylor")[0], taylor / 3, rtol=1e-4)
    assert torch.allclose(_scores(small, "hessian")[0], hessian / 3, rtol=1e-4)
    assert not _same(taylor, hessian)
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in parameters.values())


@pytest.mark.parametrize(
    ("importance", "theirs"),
    [
        ("group", tp.importance.GroupMagnitudeImportance(p=2)),
        ("bn", tp.importance.BNScaleImportance()),
        ("taylor", tp.importance.GroupTaylorImportance()),
    ],
)
def test_torch_prunings_own_importance_agrees(small, importance, theirs):
    if importance == "taylor":  # theirs passes over batch-norm
        small.bn1, small.bn2 = nn.Identity(), nn.Identity()
    ours = _scores(small, importance)
    split = IMAGES.calibration
    _gradient(small, torch.from_numpy(split.inputs), torch.from_numpy(split.labels))
    graph = tp.DependencyGraph().build_dependency(small, example_inputs=EXAMPLE)
    for score, layer in zip(ours, (small.conv1, small.conv2), strict=True):
        group = graph.get_pruning_group(layer, tp.prune_conv_out_channels, list(range(layer.out_channels)))
        assert _same(score, theirs(group))


def test_lamp_divides_each_square_by_those_that_are_no_smaller(small):
    squares = small.conv1.weight.square().flatten(1).sum(1)
    expected = torch.stack([s / squares[squares >= s].sum() for s in squares])
    scores = _scores(small, "lamp")
    assert torch.allclose(scores[0].float(), expected, rtol=1e-4)
    assert [float(score.max()) for score in scores] == [1.0, 1.0]  # so no layer loses its last


def test_fpgm_removes_the_filter_nearest_to_the_geometric_median_however_large(small):
    directions = torch.eye(9)[:5].view(5, 1, 3, 3)
    with torch.no_grad():
        small.conv1.weight.copy_(torch.cat([10 + 0.1 * directions, torch.full((1, 1, 3, 3), 10.02)]))
        small.conv1.weight[0] += 3.0
    assert _removed(small, "conv1", ratio=0.17, importance="fpgm") == [5]
    filters = small.conv1.weight.detach().flatten(1)
    distances = torch.stack([(filters - one).norm(dim=1).sum() for one in filters])
    assert _same(_scores(small, "fpgm")[0], distances)


def test_apoz_removes_the_channel_that_never_fires(small):
    with torch.no_grad():
        small.bn2.weight.fill_(1.0)
        small.bn2.bias.fill_(1.0)
        small.conv2.weight.abs_()
        small.bn2.bias[3] = -1e6
        small.conv2.weight[3] *= 50  # the largest by any norm
    assert float(_scores(small, "apoz")[1].min()) == float(_scores(small, "apoz")[1][3]) == 0.0
    assert _removed(small, "conv2", ratio=0.2, importance="apoz") == [3]
    assert _removed(small, "conv2", ratio=0.2, importance="l2") != [3]
    x = F.relu(small.bn1(small.conv1(torch.from_numpy(IMAGES.calibration.inputs))))
    assert torch.allclose(_scores(small, "apoz")[0], (x > 0).float().mean((0, 2, 3)), atol=1e-6)


def test_apoz_refuses_a_model_in_which_nothing_is_ever_zero(few_digits):
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.Sigmoid(), nn.Linear(8, 10)).eval()
    with pytest.raises(WorkbenchError, match=r"No activation of this model is ever zero.*made for ReLU"):
        Prune(importance="apoz").apply(Work(smooth), Context(few_digits, smooth))


def test_ablation_is_the_change_of_the_outputs_when_the_channel_is_really_cut(small):
    scores = _scores(small, "ablation")[0]
    inputs = torch.from_numpy(IMAGES.calibration.inputs[:64])
    for channel in (0, 3):
        without = copy.deepcopy(small)
        graph = tp.DependencyGraph().build_dependency(without, example_inputs=EXAMPLE)
        graph.get_pruning_group(without.conv1, tp.prune_conv_out_channels, [channel]).prune()
        change = (without(inputs) - small(inputs)).square().mean()
        assert torch.allclose(scores[channel], change.detach(), rtol=1e-3)


def test_ablation_leaves_the_model_as_it_was(small):
    before = copy.deepcopy(small.state_dict())
    _scores(small, "ablation")
    assert all(torch.equal(tensor, before[name]) for name, tensor in small.state_dict().items())


def test_random_is_drawn_by_the_seed(small):
    one, again, other = (_scores(small, "random", seed)[0] for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
