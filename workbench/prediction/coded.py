"""Bits that the coder of a packed file needs for a layer's weights, before there is one."""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from workbench.pruning.groups import SINGLE
from workbench.quantization.grids import weight_grid
from workbench.quantization.layers import weight_name
from workbench.steps import Prune
from workbench.steps.quantize import FLOATS

if TYPE_CHECKING:
    from workbench.prediction.outline import LayerSize
    from workbench.prediction.prospect import Prospect

FLOAT = 26.7  # bits for a 32-bit float: its sign and mantissa are as good as random
SCALE = 32.0  # bits for one of a few floats, of which no frequencies can be learned
ENOUGH = 100_000  # weights of a layer, to tell how often each code comes


class Coded:
    r"""What the weights of a module take when they are coded: the entropy of their codes, and a little for learning it.

    An adaptive coder needs about :math:`(k - 1) \log_2(n) / 2` bits more for n symbols out of k (Rissanen: Universal
    coding, information, prediction, and estimation, 1984). Codes are those of the unpruned weights; those that a recipe
    sets to zero count as zeros, where it is known which they are.

    Parameters
    ----------
    module : torch.nn.Module
    """

    def __init__(self, module: nn.Module):
        self._module = module
        self._codes: dict[tuple[str, int, str, str], tuple[Tensor, np.ndarray]] = {}

    def bits(self, prospect: "Prospect", layer: "LayerSize") -> float:
        """Of all weights that are left of a layer, and of the scales that go with them."""
        kept = _kept(prospect, layer.name)
        share = 1 - prospect.zeros if kept is None else int(kept.count_nonzero()) / kept.numel()
        width, grid, scales = self._coding(prospect, layer)
        if width >= FLOATS:
            return layer.weights * (_entropy(np.array([share, 1 - share])) + share * FLOAT)
        codes, shares = self._on_grid(layer.name, width, *grid)
        if kept is not None and share:
            shares = _shares(codes * _some(kept))
        shares = share * shares
        shares[0] += 1 - share
        learned = (np.count_nonzero(shares) - 1) * math.log2(max(2, layer.weights)) / 2
        return layer.weights * _entropy(shares) + learned + scales * SCALE

    def _coding(self, prospect: "Prospect", layer: "LayerSize") -> tuple[int, tuple[str, str], int]:
        """Bits of a layer's weights, how their grid is chosen, and how many scales it has."""
        if (shared := prospect.shared) is not None:
            linear = isinstance(self._module.get_submodule(layer.name), nn.Linear)
            width = shared.layers.get(layer.name, shared.bits if linear else shared.conv_bits)
            return width, ("minmax", "channel"), 2**width
        if (q := prospect.quantize) is None:
            return FLOATS, ("", ""), 0
        scales = layer.outputs if q.granularity == "channel" else 1
        return prospect.bits.get(layer.name, FLOATS), (q.weight_observer, q.granularity), scales

    def _on_grid(self, layer: str, bits: int, observer: str, granularity: str) -> tuple[Tensor, np.ndarray]:
        """The codes of enough of a layer's weights, 1 for zero, and how often each comes."""
        key = layer, bits, observer, granularity
        if key not in self._codes:
            weight = _some(self._module.get_parameter(weight_name(layer)).detach())
            codes = weight_grid(weight, bits, observer, granularity).codes(weight)
            codes = torch.where(codes > 0, 2 * codes, 1 - 2 * codes).short()
            self._codes[key] = codes, _shares(codes)
        return self._codes[key]


def _some(weight: Tensor) -> Tensor:
    """Enough of the rows of a tensor of a weight's shape."""
    count = max(1, ENOUGH // weight[0].numel())
    return weight if count >= len(weight) else weight[torch.linspace(0, len(weight) - 1, count).long()]


def _kept(prospect: "Prospect", layer: str) -> Tensor | None:
    """Which of a layer's weights are kept; None where none go, or it isn't known which."""
    steps = [step for step in prospect.steps if isinstance(step, Prune) and step.granularity in SINGLE]
    zeros = prospect.outline.zeros
    if len(steps) != 1 or zeros.name(steps[0], prospect.seed) is None:
        return None
    return zeros.kept(steps[0], prospect.seed).get(weight_name(layer))


def _shares(codes: Tensor) -> np.ndarray:
    """How often each code comes; those that are 0 are none."""
    counts = torch.bincount(codes.flatten(), minlength=2).numpy()[1:]
    found: np.ndarray = counts / max(1, counts.sum())
    return found


def _entropy(shares: np.ndarray) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log2(some)).sum())
