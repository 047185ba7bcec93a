"""The range is that at which the rounded values tell most of the values."""

import torch
from torch import Tensor

from workbench.quantization.grid import highest

BINS = 1024
ROWS = 2048  # whose histograms are held at a time


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
