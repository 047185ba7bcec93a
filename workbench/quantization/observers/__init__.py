"""How the range of a tensor is chosen: what lies outside is clipped, what lies inside is rounded.

Each observer is a function (rows, bits, signed) that gives the threshold of each row, one file each.
"""

from collections.abc import Callable

from torch import Tensor

from workbench.quantization.observers.entropy import entropy
from workbench.quantization.observers.minmax import minmax
from workbench.quantization.observers.mse import mse
from workbench.quantization.observers.percentile import percentile

OBSERVERS: dict[str, Callable[[Tensor, int, bool], Tensor]] = {
    "minmax": minmax,
    "percentile": percentile,
    "mse": mse,
    "entropy": entropy,
}

__all__ = ["OBSERVERS"]
