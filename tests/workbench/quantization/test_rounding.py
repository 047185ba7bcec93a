"""Better rounding: on real inputs AdaRound and GPTQ change a layer's output less than the nearest values do."""

import pytest
import torch
from torch import nn

from workbench.quantization.adaround import adaround
from workbench.quantization.gptq import gptq
from workbench.quantization.grid import Grid
from workbench.quantization.grids import weight_grid
from workbench.quantization.layers import columns, is_a_matrix, watching, weighted
from workbench.quantization.rounding import ROUNDINGS, second_moments

LAYERS = ("conv1", "conv2", "fc2")


@pytest.fixture(scope="module")
def batches(digits) -> list[torch.Tensor]:
    return [torch.from_numpy(digits.prepare(digits.calibration.inputs[:64]))]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("rounding", [name for name in ROUNDINGS if name != "nearest"])
def test_the_layers_output_changes_less_than_by_nearest(name, bits, rounding, zoo_lenet5, batches):
    layer = weighted(zoo_lenet5)[name]
    weight = layer.weight.detach().flatten(1)
    grid = weight_grid(weight, bits)
    rounded = ROUNDINGS[rounding](weight, grid, second_moments(zoo_lenet5, name, layer, batches))
    assert grid.holds(rounded)
    errors = {}
    inputs = []
    with watching({name: layer}, lambda _, given, output: inputs.append(columns(layer, given))), torch.no_grad():
        zoo_lenet5(batches[0])
    for way, other in (("better", rounded), ("nearest", grid.nearest(weight))):
        errors[way] = ((inputs[0] @ (other - weight).T) ** 2).mean()
    assert errors["better"] < 0.8 * errors["nearest"]


def test_adaround_goes_up_or_down_but_no_further(zoo_lenet5, batches):
    layer = weighted(zoo_lenet5)["conv1"]
    weight = layer.weight.detach().flatten(1)
    grid = weight_grid(weight, 3, "minmax")
    rounded = adaround(weight, grid, second_moments(zoo_lenet5, "conv1", layer, batches))
    assert ((rounded - weight).abs() <= grid.spread(weight) * 1.0001).all()
    assert (rounded != grid.nearest(weight)).any()


def test_gptq_of_inputs_that_have_nothing_in_common_is_the_nearest():
    weight = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    grid = weight_grid(weight, 4)
    assert torch.equal(gptq(weight, grid, torch.eye(12)), grid.nearest(weight))


def test_gptq_makes_up_for_an_error_in_the_next_column():
    """Two inputs that are always equal: what the first loses by rounding, the second is given."""
    weight = torch.tensor([[0.4, 0.4]])
    grid = Grid(torch.tensor(1.0), 4)
    assert grid.nearest(weight).sum() == 0
    assert gptq(weight, grid, torch.ones(2, 2)).sum() == 1


@pytest.mark.parametrize("rounding", ROUNDINGS.values(), ids=ROUNDINGS)
def test_dead_inputs_and_zero_weights_do_no_harm(rounding):
    weight = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    weight[2] = 0
    moments = torch.zeros(6, 6)
    moments[0, 0] = 1.0
    rounded = rounding(weight, weight_grid(weight, 4), moments)
    assert rounded.isfinite().all() and not rounded[2].any()


@pytest.mark.parametrize("rounding", ROUNDINGS.values(), ids=ROUNDINGS)
def test_one_bit_stays_one_bit(rounding):
    weight = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    grid = weight_grid(weight, 1)
    assert grid.holds(rounding(weight, grid, torch.eye(6) + 0.5))


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), torch.randn(2, 3, 9, 9)),
        (nn.Conv2d(3, 4, (1, 3), dilation=2, bias=False), torch.randn(2, 3, 9, 9)),
        (nn.Linear(5, 4, bias=False), torch.randn(2, 7, 5)),
    ],
    ids=["stride", "dilation", "linear"],
)
def test_a_layer_is_the_product_of_its_weight_and_its_columns(layer, inputs):
    assert is_a_matrix(layer)
    product = columns(layer, inputs) @ layer.weight.flatten(1).T
    output = layer(inputs)
    flat = output.flatten(2).transpose(1, 2) if output.ndim == 4 else output
    assert torch.allclose(product, flat.reshape(-1, 4), atol=1e-5)


def test_grouped_convolutions_are_no_single_matrix():
    assert not is_a_matrix(nn.Conv2d(4, 4, 3, groups=2))
