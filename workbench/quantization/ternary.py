"""Ternary weights: minus, nothing or plus one scale (TWN)."""

import torch
from torch import Tensor, nn

from workbench.quantization.grid import Grid


def ternary(weight: Tensor, granularity: str = "channel") -> tuple[Tensor, Grid]:
    r"""The codes -1, 0 and 1 of a weight, and their grid.

    .. math::

        \Delta = 0.7 \, \overline{|w|}, \qquad \hat w = \alpha \, \mathrm{sign}(w) \, [|w| > \Delta], \qquad
        \alpha = \overline{|w|} \text{ over } |w| > \Delta

    for each output or for the whole tensor. The grid has two bits; its code -2 stays unused.

    References
    ----------
    Li, Zhang, Liu: Ternary Weight Networks, 2016 (arXiv 1605.04711), equations 5 and 6.
    """
    rows = weight.detach().reshape(1 if granularity == "tensor" else len(weight), -1)
    magnitude = rows.abs()
    kept = magnitude > 0.7 * magnitude.mean(1, keepdim=True)
    scale = (magnitude * kept).sum(1) / kept.sum(1).clamp(min=1)
    scale = torch.where(scale > 0, scale, 1.0)
    codes = (rows.sign() * kept).reshape(weight.shape)
    return codes, Grid(scale.reshape(() if granularity == "tensor" else (-1,)), 2)


class TernaryGrid(nn.Module):
    """A weight as its ternary form, found anew at each use; gradients pass straight through to it.

    Parameters
    ----------
    start : Grid
        Says whether there is one scale or one for each output.
    """

    def __init__(self, start: Grid):
        super().__init__()
        self.start, self.grid = start, start
        self.latent: Tensor | None = None

    def forward(self, weight: Tensor) -> Tensor:
        self.latent = weight.detach()
        codes, grid = ternary(weight, "channel" if self.start.scale.ndim else "tensor")
        self.grid = Grid(grid.scale.cpu().clone(), 2)
        return _Through.apply(weight, codes * grid.spread(weight))

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight: Tensor, rounded: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return rounded

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        return grad, None
