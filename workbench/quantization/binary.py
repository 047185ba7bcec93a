"""Binary weights: signs times one scale (XNOR-Net)."""

import torch
from torch import Tensor, nn

from workbench.quantization.grid import Grid
from workbench.quantization.grids import mean_magnitudes


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(values)
        return torch.where(values >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return grad * (ctx.saved_tensors[0].abs() <= 1)


class BinaryGrid(nn.Module):
    r"""A weight as :math:`\hat w = \alpha \, \mathrm{sign}(w)` with :math:`\alpha = \overline{|w|}`.

    That scale, for each output, each block of inputs or the whole tensor, is the one of the least squared error. The
    sign's gradient is taken for that of a straight line between -1 and 1; the scale's own gradient flows too.

    The scale is computed from the weights at every pass, as in XNOR-Net, and not a parameter that is learned, as those
    of wider grids are (LSQ). XNOR-Net's K, a scale for each place of binary inputs, is absent: what flows into a layer
    has one scale for all places, and that one is learned.

    Parameters
    ----------
    start : Grid
        Says which weights share a scale.

    References
    ----------
    Rastegari et al.: XNOR-Net, 2016 (arXiv 1603.05279), equations 6 and 9.
    """

    def __init__(self, start: Grid):
        super().__init__()
        self.start, self.grid = start, start
        self.latent: Tensor | None = None

    def forward(self, weight: Tensor) -> Tensor:
        self.latent = weight.detach()
        granularity, block = "channel" if self.start.scale.ndim else "tensor", self.start.block
        scale = mean_magnitudes(weight, granularity, block).reshape(self.start.scale.shape)
        self.grid = Grid(scale.detach().cpu().clone(), 1, block=block)
        return _Sign.apply(weight) * Grid(scale, 1, block=block).spread(weight)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight
