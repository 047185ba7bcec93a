"""Bytes of the file, before there is one: by what files of the same form took, else by arithmetic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls
from scipy.stats import entropy, t

from workbench.estimates import Estimate
from workbench.prediction.base import CONFIDENCE
from workbench.prediction.outline import Outline, Size
from workbench.prediction.prospect import Prospect
from workbench.quantization.grids import weight_grid

FEWEST = 3  # files of a form, of which a line can be told
FLOATS = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0}
SAME = 0.002  # how far files of the same counts are apart, as a share
FEW = 0.02  # how far arithmetic that was put right by some trials is off, as a share
UNKNOWN = 0.15  # how far arithmetic alone may be off, as a share
BESIDE = 10_000  # bytes of scales and conversions that a small quantized network was seen to need besides
FLOAT_ENTROPY = 27.0  # bits that a coder needs for a 32-bit float: its sign and mantissa are as good as random


@dataclass(frozen=True)
class FileSizes:
    """A line through the files of one form: so many bytes for each weight, for each channel, and at all.

    Attributes
    ----------
    slopes : numpy.ndarray
        Those bytes, shape (3,).
    error : float
        The largest error of a file that is left out in turn, as a share.
    """

    slopes: np.ndarray
    error: float

    @classmethod
    def of(cls, sizes: Sequence[Size], files: Sequence[int]) -> "FileSizes | None":
        """Of models of which there is a file, and the bytes of that; None where they are too few."""
        different = {(s.weights, s.channels): place for place, s in enumerate(sizes)}
        if len(different) < FEWEST:
            return None
        chosen = list(different.values())
        table = np.array([_row(sizes[i]) for i in chosen])
        measured = np.array([files[i] for i in chosen], float)
        errors = [SAME]
        for index in range(len(chosen)) if len(chosen) > FEWEST else ():
            others = np.arange(len(chosen)) != index
            expected = table[index] @ _line(table[others], measured[others])
            errors.append(abs(expected / measured[index] - 1))
        return cls(_line(table, measured), max(errors))

    def at(self, size: Size) -> Estimate:
        """The bytes of a model's file."""
        value = float(_row(size) @ self.slopes)
        return Estimate(value=value, low=value * (1 - self.error), high=value * (1 + self.error))


def by_trials(prospect: Prospect, graph: int, trials: Sequence[tuple[Prospect, int]]) -> Estimate:
    """Arithmetic, put right by how far off it was for trials of the same form: where no line goes through files.

    Parameters
    ----------
    prospect : Prospect
    graph : int
        Bytes of the baseline's file beside its parameters.
    trials : sequence of tuple of Prospect and int
        Of that form, one at least, and the bytes of their files.
    """
    size = prospect.size
    if not prospect.packed:
        for other, file in trials:
            if other.steps == prospect.steps and other.size == size:
                return Estimate(value=file, low=file * (1 - SAME), high=file * (1 + SAME))
    off = [math.log(file / by_arithmetic(other, other.size, graph).value) for other, file in trials]
    center, reach = float(np.mean(off)), UNKNOWN
    if (n := len(off)) >= FEWEST:  # the interval of one more of them
        reach = max(FEW, float(t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(off, ddof=1) * math.sqrt(1 + 1 / n)))
    value = by_arithmetic(prospect, size, graph).value * math.exp(center)
    return Estimate(value=value, low=value * math.exp(-reach), high=value * math.exp(reach))


def by_arithmetic(prospect: Prospect, size: Size, graph: int) -> Estimate:
    """Weights times their bits, all else as 32-bit floats, and the graph: about right, and said to be no more.

    Parameters
    ----------
    prospect : Prospect
    size : Size
    graph : int
        Bytes of the baseline's file beside its parameters.
    """
    bits = prospect.bits
    if prospect.form == "packed":
        weights = sum(layer.weights * _coded_bits(prospect, layer.name) for layer in size.layers) / 8
        graph = graph // 2  # the graph is coded, too
    else:
        each = FLOATS[prospect.precision] * 8
        weights = sum(layer.weights * bits.get(layer.name, each) for layer in size.layers) / 8
    rest = (size.parameters - size.weights) * FLOATS[prospect.precision]
    value = weights + rest + graph
    exact = prospect.form == "float32"
    reach = 0.01 if exact else UNKNOWN
    return Estimate(value=value, low=value * (1 - reach), high=value * (1 + reach) + (BESIDE if bits else 0))


def _coded_bits(prospect: Prospect, layer: str) -> float:
    """Bits of each weight of a layer after entropy coding, its zeros counted as one of the symbols."""
    zeros = prospect.zeros
    if prospect.shared is not None:
        linear = isinstance(prospect.outline.module.get_submodule(layer), torch.nn.Linear)
        shared = prospect.shared
        width = shared.layers.get(layer, shared.bits if linear else shared.conv_bits)
        symbols = code_entropy(prospect.outline, layer, width)
    elif layer in prospect.bits:
        symbols = code_entropy(prospect.outline, layer, prospect.bits[layer])
    else:
        symbols = FLOAT_ENTROPY
    which = float(entropy([zeros, 1 - zeros], base=2)) if 0 < zeros < 1 else 0.0
    return which + (1 - zeros) * symbols


def code_entropy(outline: Outline, layer: str, bits: int) -> float:
    """The entropy, in bits, of a layer's codes on the grid of so many bits."""
    known: dict[tuple[str, int], float] = outline.__dict__.setdefault("_entropies", {})
    if (layer, bits) not in known:
        weight = outline.module.get_submodule(layer).get_parameter("weight").detach()
        codes = weight_grid(weight, bits, "minmax").codes(weight)
        known[layer, bits] = float(entropy(torch.unique(codes, return_counts=True)[1].numpy(), base=2))
    return known[layer, bits]


def _row(size: Size) -> np.ndarray:
    return np.array([size.weights, size.channels, 1.0])


def _line(table: np.ndarray, measured: np.ndarray) -> np.ndarray:
    return nnls(table / measured[:, None], np.ones(len(measured)))[0]
