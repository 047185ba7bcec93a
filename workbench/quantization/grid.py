"""A grid: the few values that a quantized tensor may take."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Integers of so many bits times a scale: ``value = (code - zero_point) * scale``.

    Codes are integers from `low` to `high`; with one bit they are -1 and 1. A tensor lies on its grid if the `values`
    of its `codes` are the tensor, bit for bit.

    Attributes
    ----------
    scale : torch.Tensor
        Float32 and positive. Shape () for a whole tensor, (channels,) for each output channel, (channels, blocks) for
        each block of consecutive inputs.
    bits : int
        1 to 16.
    zero_point : int
        The code of zero: 0 for weights; for unsigned activations from 0 to `high`.
    signed : bool
        Whether codes lie around zero (weights) or start at it (activations).
    block : int
        How many inputs of a channel (its dimensions but the first, flattened) share a scale; 0 where all do.
    """

    scale: Tensor
    bits: int
    zero_point: int = 0
    signed: bool = True
    block: int = 0

    @property
    def low(self) -> int:
        """The smallest code; from 8 bits on the range is symmetric, as integer kernels want it."""
        return lowest(self.bits, self.signed)

    @property
    def high(self) -> int:
        """The largest code."""
        return highest(self.bits, self.signed)

    def codes(self, tensor: Tensor) -> Tensor:
        """The nearest codes, int32, of the tensor's shape."""
        return self.round(tensor / self.spread(tensor)).to(torch.int32)

    def values(self, codes: Tensor) -> Tensor:
        """The float32 values of codes."""
        return (codes - self.zero_point).to(torch.float32) * self.spread(codes)

    def nearest(self, tensor: Tensor) -> Tensor:
        """The tensor rounded to its grid."""
        return self.values(self.codes(tensor))

    def holds(self, tensor: Tensor) -> bool:
        """Whether the tensor lies on this grid, bit for bit."""
        return self.fits(tensor) and torch.equal(self.nearest(tensor), tensor)

    def fits(self, tensor: Tensor) -> bool:
        """Whether the scale is of the tensor's shape."""
        if not self.scale.ndim:
            return True
        if not tensor.ndim or self.scale.shape[0] != tensor.shape[0]:
            return False
        return self.scale.ndim == 1 or self.scale.shape[1] == -(-tensor[0].numel() // self.block)

    def round(self, steps: Tensor) -> Tensor:
        """Numbers counted in steps of the scale, rounded to codes (floats)."""
        if self.bits == 1 and self.signed:
            return torch.where(steps >= 0, 1.0, -1.0)
        return torch.clamp(torch.round(steps) + self.zero_point, self.low, self.high)

    def spread(self, like: Tensor) -> Tensor:
        """The scale, broadcastable to a tensor."""
        scale = self.scale.to(like.device)
        if scale.ndim < 2:
            return scale.reshape(-1, *[1] * (like.ndim - 1)) if scale.ndim else scale
        inputs = like[0].numel()
        return scale.repeat_interleave(self.block, dim=1)[:, :inputs].reshape(like.shape)


def lowest(bits: int, signed: bool = True) -> int:
    """The smallest code: -1 with one bit, ``-2^(b-1)`` below 8 bits, ``-(2^(b-1) - 1)`` from 8 on; 0 if unsigned."""
    if not signed:
        return 0
    if bits == 1:
        return -1
    return -(2 ** (bits - 1)) + (1 if bits >= 8 else 0)


def highest(bits: int, signed: bool = True) -> int:
    """The largest code: ``2^(b-1) - 1``, or 1 with one bit; ``2^b - 1`` if unsigned."""
    return 2**bits - 1 if not signed else max(1, 2 ** (bits - 1) - 1)


def grid_for(threshold: Tensor, bits: int, signed: bool = True, block: int = 0) -> Grid:
    """The grid whose largest value is `threshold`; where that is zero, any scale will do, and it is one."""
    scale = torch.where(threshold > 0, threshold / highest(bits, signed), 1.0).to(torch.float32)
    return Grid(scale, bits, signed=signed, block=block)
