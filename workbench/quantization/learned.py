"""Fake quantization with learned scales (LSQ): rounding that gradients pass through."""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from workbench.quantization.grid import Grid


class _LearnedStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, scale: Tensor, grid: Grid) -> Tensor:  # type: ignore[no-untyped-def]
        steps = values / scale
        codes = grid.round(steps)
        ctx.save_for_backward(steps, codes)
        ctx.grid, ctx.shape = grid, scale.shape
        return (codes - grid.zero_point) * scale

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        steps, codes = ctx.saved_tensors
        grid = ctx.grid
        shifted = steps + grid.zero_point
        inside = (shifted > grid.low) & (shifted < grid.high)
        by_scale = torch.where(inside, codes - grid.zero_point - steps, codes - grid.zero_point)
        return grad * inside, (grad * by_scale).sum_to_size(ctx.shape), None


def learned_step(values: Tensor, scale: Tensor, grid: Grid) -> Tensor:
    r"""Values rounded to a grid of this scale, with LSQ's gradients.

    .. math::

        \hat v = s \, \mathrm{clip}(\lfloor v / s \rceil, -Q_N, Q_P), \qquad
        \frac{\partial \hat v}{\partial v} = [-Q_N < v / s < Q_P], \qquad
        \frac{\partial \hat v}{\partial s} =
        \begin{cases}
            \lfloor v / s \rceil - v / s & -Q_N < v / s < Q_P \\
            -Q_N \text{ or } Q_P         & \text{outside}
        \end{cases}

    Parameters
    ----------
    values : torch.Tensor
    scale : torch.Tensor
        Broadcastable to `values`.
    grid : Grid
        Its bits, zero point and sign; its own scale is not looked at.

    References
    ----------
    Esser et al.: Learned Step Size Quantization, 2020 (arXiv 1902.08153), equations 1 to 3.
    """
    return _LearnedStep.apply(values, scale, grid)


class LearnedGrid(nn.Module):
    r"""A grid whose scale is learned, for a weight or for what flows into a layer.

    What is learned is the ratio :math:`r = s / s_0` to the first scale, so that adaptive optimizers, whose steps are
    of one size, change the scale in proportion. Its gradient is multiplied by :math:`g / s_0^2` with the paper's
    :math:`g = 1 / \sqrt{N Q_P}`, so that plain gradient descent moves :math:`s` exactly as the paper has it.

    Parameters
    ----------
    start : Grid
    share : int, optional
        N: how many values share one scale; if left out, as many as the first sample has.
    """

    def __init__(self, start: Grid, share: int = 0):
        super().__init__()
        self.start = start
        self.ratio = nn.Parameter(torch.ones_like(start.scale))
        self.register_buffer("first", start.scale.clone())
        self.first: Tensor
        self.share = share
        self.latent: Tensor | None = None

    @property
    def grid(self) -> Grid:
        """The grid as it is now."""
        return replace(self.start, scale=self.scale.detach().cpu().clone())

    @property
    def scale(self) -> Tensor:
        """The scale as it is now; never zero or negative."""
        ratio = self.ratio.clamp(min=1e-3)
        gradient_scale = 1 / math.sqrt(max(self.share, 1) * self.start.high)
        return self.first * _ScaledGradient.apply(ratio, gradient_scale / self.first**2)

    def forward(self, values: Tensor) -> Tensor:
        self.latent = values.detach()
        self.share = self.share or values[0].numel()
        return learned_step(values, replace(self.start, scale=self.scale).spread(values), self.start)

    def right_inverse(self, values: Tensor) -> Tensor:
        return values


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor, factor: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(factor)
        return values.clone()

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        return grad * ctx.saved_tensors[0], None
