"""Everything is within the range."""

import torch
from torch import Tensor

from workbench.quantization.grid import highest, lowest


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
