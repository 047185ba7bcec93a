"""Folding, equalizing and smoothing change the weights' ranges, and not what the model computes."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.quantization.equalization import equalize, pairs
from workbench.quantization.folding import factor_of, fold, norms_after
from workbench.quantization.layers import weighted
from workbench.quantization.smoothing import normalized_inputs, smooth


class Normed(nn.Module):
    """Convolutions with batch-norm, a residual sum, pooling and a classifier, all with uneven channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8)
        self.conv3 = nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = x + F.relu(self.conv3(x))
        return self.fc(F.adaptive_avg_pool2d(x, 2).flatten(1))


class Attentive(nn.Module):
    """A layer-norm that feeds two linear layers, and one that feeds something else as well."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.query, self.key = nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.norm2, self.out = nn.LayerNorm(8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        z = self.norm2(self.query(y) * torch.sigmoid(self.key(y)))
        return self.out(z) + z.mean(-1, keepdim=True)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    module = Normed()
    for norm in (module.bn1, module.bn2):
        nn.init.uniform_(norm.weight, 0.3, 2)
        norm.weight.data[::2] *= -1
        nn.init.normal_(norm.bias)
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.1, 5)
    module.bn2.weight.data[3] = 0.0  # as slimming leaves it
    return module.eval()


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(16, 1, 12, 12, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def unchanged(one: nn.Module, other: nn.Module, inputs: Tensor) -> bool:
    return torch.allclose(one(inputs), other(inputs), atol=1e-4, rtol=1e-4)


def test_it_finds_which_batch_norm_follows_which_layer(model):
    assert norms_after(model) == {"conv1": "bn1", "conv2": "bn2"}


def test_folding_moves_each_factor_into_the_weights(model, inputs):
    before = copy.deepcopy(model)
    factors = fold(model)
    assert unchanged(model, before, inputs)
    assert torch.allclose(model.conv1.weight, before.conv1.weight * factors["conv1"].reshape(-1, 1, 1, 1))
    assert torch.allclose(factor_of(model.bn1), torch.ones(6)) and torch.allclose(factor_of(model.bn2), torch.ones(8))
    assert set(model.state_dict()) == set(before.state_dict()), "the architecture stays as it was"


def test_a_folded_model_still_trains_like_the_original(model, inputs):
    before = copy.deepcopy(model)
    fold(model)
    alive = [0, 1, 2, 4, 5, 6, 7]
    outputs = [m.train().bn2(m.conv2(F.relu(m.bn1(m.conv1(inputs))))) for m in (model, before)]
    assert torch.allclose(outputs[0][:, alive], outputs[1][:, alive], atol=0.02)


def test_folding_again_changes_nothing(model):
    fold(model)
    weights = model.conv1.weight.clone()
    fold(model)
    assert torch.allclose(weights, model.conv1.weight)


def test_code_that_cannot_be_traced_is_left_alone(inputs):
    class Branches(Normed):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if x.sum() > 1e9 else super().forward(x + 1)

    module = Branches().eval()
    assert fold(module) == {} and equalize(module) == 0


def test_equalizing_leaves_the_function_and_evens_out_the_ranges(model, inputs):
    fold(model)
    before = copy.deepcopy(model)
    assert pairs(model) == [("conv1", "conv2")]  # a sum follows the others
    assert equalize(model) == 1
    assert unchanged(model, before, inputs)
    one = model.conv1.weight.abs().amax((1, 2, 3))
    other = model.conv2.weight.abs().amax((0, 2, 3))
    assert torch.allclose(one, other, rtol=1e-2)
    assert not torch.allclose(
        before.conv1.weight.abs().amax((1, 2, 3)), before.conv2.weight.abs().amax((0, 2, 3)), rtol=0.1
    )


def test_equalizing_reaches_across_pooling_and_flattening(lenet5, few_digits):
    before = copy.deepcopy(lenet5)
    inputs = torch.from_numpy(few_digits.prepare(few_digits.validation.inputs[:20]))
    assert equalize(lenet5) == 3
    assert unchanged(lenet5, before, inputs)
    assert all(
        not torch.equal(a.weight, b.weight)
        for a, b in zip(weighted(lenet5).values(), weighted(before).values(), strict=True)
    )


def test_smoothing_moves_range_from_activations_to_weights():
    torch.manual_seed(0)
    model = Attentive().eval()
    model.norm1.weight.data[2] = 50.0  # the outlier channel that transformers have
    before, x = copy.deepcopy(model), torch.randn(32, 5, 8)
    assert normalized_inputs(model) == {"norm1": ["query", "key"]}
    assert smooth(model, [x], strength=0.5) == 1
    assert unchanged(model, before, x)
    widest = [
        (m.norm1(x).abs().amax((0, 1)).max() / m.norm1(x).abs().amax((0, 1)).median()).item() for m in (before, model)
    ]
    assert widest[1] < 0.4 * widest[0]


def test_smoothing_by_the_papers_factor():
    torch.manual_seed(0)
    model, x = Attentive().eval(), torch.randn(32, 5, 8)
    seen = model.norm1(x).abs().amax((0, 1))
    weights = torch.maximum(model.query.weight.abs().amax(0), model.key.weight.abs().amax(0))
    before = model.query.weight.clone()
    smooth(model, [x], strength=0.3)
    assert torch.allclose(model.query.weight, before * seen**0.3 / weights**0.7, rtol=1e-4)
