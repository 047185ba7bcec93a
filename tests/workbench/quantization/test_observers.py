"""Ranges: what each observer promises, for weights and for activations, at every width."""

from typing import get_args

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from workbench import Quantize, WorkbenchError
from workbench.quantization.activations import DynamicGrid
from workbench.quantization.grid import Grid
from workbench.quantization.grids import activation_grid, refit, weight_grid
from workbench.quantization.observers import OBSERVERS

BITS = (1, 2, 3, 4, 6, 8)


@pytest.fixture
def weight() -> Tensor:
    """A convolution's weight with channels of very different ranges, one of them zero."""
    weight = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    return weight * torch.tensor([1.0, 10.0, 0.1, 0.0, 3.0, 1e-4]).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("observer", OBSERVERS)
def test_every_weight_lies_on_a_grid_of_at_most_so_many_values(bits, granularity, observer, weight):
    grid = weight_grid(weight, bits, observer, granularity)
    rounded = grid.nearest(weight)
    assert grid.holds(rounded)
    assert grid.scale.shape == (() if granularity == "tensor" else (6,))
    assert (grid.scale > 0).all()
    rows = rounded.reshape(1 if granularity == "tensor" else 6, -1)
    assert all(len(row.unique()) <= 2**bits for row in rows)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_min_max_clips_nothing(bits, weight):
    grid = weight_grid(weight, bits, "minmax")
    steps = weight / grid.spread(weight)
    assert steps.max() <= grid.high + 1e-4 and steps.min() >= grid.low - 1e-4
    assert ((grid.nearest(weight) - weight).abs() <= grid.spread(weight) / 2 + 1e-7).all()


def test_weights_and_activations_may_choose_every_observer():
    for knob in ("weight_observer", "observer"):
        assert set(get_args(Quantize.model_fields[knob].annotation)) == set(OBSERVERS)
    with pytest.raises(WorkbenchError, match="entropy needs a histogram of many values"):
        Quantize(mode="weight-only", weight_observer="entropy")


@pytest.mark.parametrize("observer", OBSERVERS)
def test_each_row_has_the_range_that_it_would_have_alone(observer, weight):
    rows = weight.flatten(1)
    alone = torch.cat([OBSERVERS[observer](row[None], 4, True) for row in rows])
    assert torch.allclose(OBSERVERS[observer](rows, 4, True), alone)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_mse_is_never_worse_than_min_max(bits, weight):
    error = {o: ((weight_grid(weight, bits, o).nearest(weight) - weight) ** 2).mean() for o in ("mse", "minmax")}
    assert error["mse"] <= error["minmax"]
    assert bits > 4 or error["mse"] < error["minmax"]


def test_a_scale_for_each_channel_is_better_than_one_for_all(weight):
    error = {
        g: ((weight_grid(weight, 4, "mse", g).nearest(weight) - weight) ** 2).mean() for g in ("tensor", "channel")
    }
    assert error["channel"] < error["tensor"]


def test_one_bit_is_the_sign_times_the_mean_magnitude(weight):
    grid = weight_grid(weight, 1)
    assert torch.allclose(grid.scale[0], weight[0].abs().mean())
    assert torch.allclose(grid.nearest(weight)[0], weight[0].sign() * weight[0].abs().mean())


def test_one_bit_in_blocks_takes_the_mean_of_what_is_in_each_however_short(weight):
    grid = weight_grid(weight, 1, block=32)
    assert torch.allclose(grid.scale[0, 2], weight[0].flatten()[64:].abs().mean()), "11 of 75 inputs are left"
    assert grid.holds(grid.nearest(weight))


def test_blocks_have_a_scale_each(weight):
    grid = weight_grid(weight, 4, "minmax", block=32)
    assert grid.scale.shape == (6, 3)
    assert torch.allclose(grid.scale[0, 0] * 7, weight[0].flatten()[:32].max().clamp(min=-weight[0].min() * 7 / 8))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("values", ["relu", "signed"])
def test_activations_get_few_values_of_which_one_is_zero(bits, observer, values):
    seen = torch.randn(4000, generator=torch.Generator().manual_seed(1))
    seen = seen.relu() if values == "relu" else seen + 0.3
    grid = activation_grid(seen, bits, observer)
    rounded = grid.nearest(seen)
    assert len(rounded.unique()) <= 2**bits
    assert rounded.isfinite().all() and grid.holds(rounded)
    if not (bits == 1 and values == "signed"):
        assert grid.nearest(torch.zeros(1)).item() == 0 and not grid.signed


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("values", ["relu", "signed", "zero"])
def test_dynamic_grids_are_min_max_grids_of_the_very_values(bits, values):
    seen = torch.randn(40, 100, generator=torch.Generator().manual_seed(1)) + 0.3
    seen = {"relu": seen.relu(), "signed": seen, "zero": seen * 0}[values]
    for batch in (seen, 3 * seen[:4]):
        expected = activation_grid(batch, bits, "minmax").nearest(batch)
        assert torch.allclose(DynamicGrid(bits).nearest(batch), expected, atol=1e-6)


def test_rare_outliers_widen_min_max_and_no_other():
    seen = torch.rand(50_000, generator=torch.Generator().manual_seed(1))
    seen[7] = 100.0
    top = {name: float(activation_grid(seen, 8, name).scale) * 255 for name in OBSERVERS}
    assert top["minmax"] == pytest.approx(100)
    assert top["percentile"] < 1.1 and top["entropy"] < 50


def test_the_percentile_clips_one_value_in_ten_thousand():
    seen = torch.arange(20_001.0)[None]
    assert OBSERVERS["percentile"](seen, 8, False).item() == 19_998  # two of 20,001 lie above


def test_entropy_clips_where_the_rounded_histogram_tells_most_of_that_of_the_values():
    values = torch.distributions.Laplace(0.0, 1.0).icdf(torch.linspace(0.5, 1 - 1e-5, 20_000)).numpy()
    counts, edges = np.histogram(values, 1024)

    def divergence(bins: int, levels: int = 16) -> float:
        clipped = counts[:bins].astype(float)
        clipped[-1] += counts[bins:].sum()
        spread = np.zeros(bins)
        for level in np.array_split(np.arange(bins), levels):
            used = level[counts[level] > 0]
            spread[used] = counts[level].sum() / max(len(used), 1)
        return float(scipy.stats.entropy(clipped + 1e-9, spread + 1e-9))

    chosen = OBSERVERS["entropy"](torch.from_numpy(values)[None].float(), 4, False).item()
    bins = round(chosen / edges[-1] * 1024)
    assert bins < 900, "the long tail is clipped"
    assert all(divergence(bins) < divergence(other) for other in (bins // 2, min(2 * bins, 1000), 1024))


def test_a_layer_that_sees_nothing_but_zeros_has_a_grid_too():
    for observer in OBSERVERS:
        assert activation_grid(torch.zeros(100), 8, observer).nearest(torch.zeros(2)).tolist() == [0, 0]


def test_grids_follow_weights_that_lost_channels(weight):
    grids = {"kept": weight_grid(weight, 4), "gone": weight_grid(weight, 4), "cut": weight_grid(weight, 4)}
    before, cut = grids["kept"], grids["cut"].nearest(weight)[[0, 4]].clone()
    refit({"kept": weight, "cut": cut}, grids)
    assert set(grids) == {"kept", "cut"} and grids["kept"] is before
    assert isinstance(grids["cut"], Grid) and grids["cut"].bits == 4 and grids["cut"].holds(cut)
