"""The grid that suits a tensor: of a weight, or of what flows into a layer."""

from collections.abc import Mapping

import torch
from torch import Tensor

from workbench.quantization.grid import Grid, grid_for, highest
from workbench.quantization.observers import OBSERVERS


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
