"""How the range of a tensor is chosen: what lies outside is clipped, what lies inside is rounded."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from workbench.quantization.grid import Grid, highest, lowest

Threshold = Callable[[Tensor, int, bool], Tensor]
SHRINKS = torch.linspace(1.0, 0.15, 86)
PERCENTILE = 0.9999
BINS = 1024
ROWS = 2048  # whose histograms are held at a time


def minmax(rows: Tensor, bits: int, signed: bool) -> Tensor:
    """``max |x|`` of each row, as far as its side of the range goes: nothing is clipped.

    References
    ----------
    Jacob et al.: Quantization and Training of Neural Networks, 2018 (arXiv 1712.05877).
    """
    if not signed:
        return rows.amax(1).clamp(min=0)
    asymmetry = highest(bits) / -lowest(bits)
    return torch.maximum(rows.amax(1), -rows.amin(1) * asymmetry)


def percentile(rows: Tensor, bits: int, signed: bool) -> Tensor:
    """The t with ``P(|x| <= t) = 99.99 %`` in each row: the rarest values are clipped.

    References
    ----------
    McKinstry et al.: Discovering Low-Precision Networks Close to Full-Precision Networks, 2018 (arXiv 1809.04191).
    """
    ordered = rows.abs().sort(dim=1).values
    return ordered[:, min(round(PERCENTILE * (rows.shape[1] - 1)), rows.shape[1] - 1)]


def mse(rows: Tensor, bits: int, signed: bool) -> Tensor:
    """The t of the least ``mean (q_t(x) - x)^2`` of each row, q_t rounding and clipping at t; of 86 below min-max's.

    References
    ----------
    Sung, Shin, Hwang: Resiliency of Deep Neural Networks under Quantization, 2015 (arXiv 1511.06488).
    """
    widest = minmax(rows, bits, signed)
    best, threshold = torch.full_like(widest, torch.inf), widest
    for shrink in SHRINKS:
        tried = widest * shrink
        rounded = grid_for(tried, bits, signed).nearest(rows)
        error = ((rounded - rows) ** 2).mean(1)
        threshold = torch.where(error < best, tried, threshold)
        best = torch.minimum(error, best)
    return threshold


def entropy(rows: Tensor, bits: int, signed: bool) -> Tensor:
    """The threshold at which the histogram of rounded values tells most of that of the values.

    Of all thresholds on a histogram of 1,024 bins of absolute values, that of the least Kullback-Leibler divergence
    ``sum p log(p / q)`` between the clipped histogram p and the same spread evenly over each level of the grid, q.

    References
    ----------
    Migacz: 8-bit Inference with TensorRT, 2017 (GPU Technology Conference).
    """
    levels = highest(bits, signed) + 1
    return torch.cat([_least_divergent(part.abs(), levels) for part in rows.split(ROWS)])


def _least_divergent(values: Tensor, levels: int) -> Tensor:
    """The threshold of each row of absolute values."""
    top = values.amax(1)
    if levels >= BINS:
        return top
    bin_of = (values / torch.where(top > 0, top, 1.0)[:, None] * BINS).long().clamp(max=BINS - 1)
    histogram = torch.zeros(len(values), BINS).scatter_add_(1, bin_of, torch.ones_like(values))
    best, kept = torch.full_like(top, torch.inf), torch.full_like(top, BINS)
    for bins in range(max(levels, BINS // 32), BINS + 1, 8):
        reference = histogram[:, :bins].clone()
        reference[:, -1] += histogram[:, bins:].sum(1)
        level = torch.arange(bins) * levels // bins
        filled = (histogram[:, :bins] > 0).to(values.dtype)
        mass = torch.zeros(len(values), levels).index_add_(1, level, histogram[:, :bins])
        places = torch.zeros(len(values), levels).index_add_(1, level, filled)
        spread = (mass / places.clamp(min=1))[:, level] * filled
        shares = (part / part.sum(1, keepdim=True).clamp(min=1e-12) for part in (reference, spread))
        divergence = _divergence(*shares)
        kept = torch.where(divergence < best, float(bins), kept)
        best = torch.minimum(divergence, best)
    return top * kept / BINS


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """Kullback and Leibler's, of each row."""
    return torch.where(p > 0, p * (p.clamp(min=1e-12) / q.clamp(min=1e-9)).log(), 0.0).sum(1)


OBSERVERS: dict[str, Threshold] = {"minmax": minmax, "percentile": percentile, "mse": mse, "entropy": entropy}


def grid_for(threshold: Tensor, bits: int, signed: bool = True, block: int = 0) -> Grid:
    """The grid whose largest value is `threshold`; where that is zero, any scale will do, and it is one."""
    scale = torch.where(threshold > 0, threshold / highest(bits, signed), 1.0).to(torch.float32)
    return Grid(scale, bits, signed=signed, block=block)


def weight_grid(weight: Tensor, bits: int, observer: str = "mse", granularity: str = "channel", block: int = 0) -> Grid:
    """The symmetric grid of a weight: with one scale (tensor), one for each output (channel) or block of inputs.

    Blocks lie within an output, so that with them granularity says nothing. With one bit, the scale is the mean
    absolute value, the best there is (Rastegari et al.: XNOR-Net, 2016).
    """
    weight = weight.detach()
    shape = (len(weight), -1) if block else () if granularity == "tensor" else (len(weight),)
    if bits == 1:
        scale = mean_magnitudes(weight, granularity, block)
        return Grid(torch.where(scale > 0, scale, 1.0).reshape(shape), 1, block=block)
    grid = grid_for(OBSERVERS[observer](_sharing(weight, granularity, block), bits, True), bits)
    return Grid(grid.scale.reshape(shape), bits, block=block)


def mean_magnitudes(weight: Tensor, granularity: str = "channel", block: int = 0) -> Tensor:
    """The mean absolute value of the weights that share a scale, in a row."""
    rows = _sharing(weight.abs(), granularity, block)
    if not block:
        return rows.mean(1)
    return rows.sum(1) / _sharing(torch.ones_like(weight), granularity, block).sum(1)  # the last block may be short


def _sharing(weight: Tensor, granularity: str, block: int) -> Tensor:
    """The weights that share a scale as rows; short blocks are filled up with zeros."""
    if not block:
        return weight.reshape(1 if granularity == "tensor" else len(weight), -1)
    rows = weight.reshape(len(weight), -1)
    return torch.nn.functional.pad(rows, (0, -rows.shape[1] % block)).reshape(-1, block)


def activation_grid(values: Tensor, bits: int, observer: str = "minmax") -> Grid:
    """The unsigned grid of what flows into a layer, from values seen there; zero lies on it.

    Values without a sign start at code zero. Others have a zero point, and a range that `observer` clips at the same
    share on both sides. One bit on values with a sign is -1 and 1 times their mean absolute value.
    """
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    rows = values.reshape(1, -1)
    if bits == 1 and low < 0:
        return Grid(rows.abs().mean().to(torch.float32), 1)
    if low == 0:
        return Grid(grid_for(OBSERVERS[observer](rows, bits, False)[0], bits, signed=False).scale, bits, signed=False)
    widest = max(-low, high)
    kept = float(OBSERVERS[observer](rows, bits, True)[0] if observer != "minmax" else widest)
    low, high = max(low, -kept), min(high, kept)
    scale = (high - low) / highest(bits, signed=False) or 1.0
    zero_point = min(max(round(-low / scale), 0), highest(bits, signed=False))
    return Grid(torch.tensor(scale, dtype=torch.float32), bits, zero_point, signed=False)


@torch.no_grad()
def refit(weights: Mapping[str, Tensor], grids: dict[str, Grid]) -> None:
    """Lay the grids of weights that have lost channels anew, bring those onto them, and drop grids of what is gone."""
    for name, grid in list(grids.items()):
        if name not in weights:
            del grids[name]
        elif not grid.fits(weights[name]):
            granularity = "channel" if grid.scale.ndim else "tensor"
            grids[name] = weight_grid(weights[name].cpu(), grid.bits, "minmax", granularity, grid.block)
            weights[name].copy_(grids[name].nearest(weights[name]))
