"""The range is that of the least squared error of clipping and rounding."""

import torch
from torch import Tensor

from workbench.quantization.grid import grid_for
from workbench.quantization.observers.minmax import minmax

SHRINKS = torch.linspace(1.0, 0.15, 86)


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
