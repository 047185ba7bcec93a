"""Bytes of the file, before there is one: by what files of the same form took, else by arithmetic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.stats import t

from workbench.estimates import Estimate
from workbench.prediction.base import CONFIDENCE
from workbench.prediction.outline import Size
from workbench.prediction.prospect import Prospect

FEWEST = 3  # files of a form, of which a line can be told
FLOATS = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0}
SAME = 0.002  # how far files of the same counts are apart, as a share
FEW = 0.02  # how far arithmetic that was put right by some trials is off, as a share
UNKNOWN = 0.15  # how far arithmetic alone may be off, as a share
BESIDE = 10_000  # bytes of scales and conversions that a small quantized network was seen to need besides


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


class CorrectedSizes:
    """Arithmetic, put right by how many bytes it missed of trials of the same form: where no line goes through files.

    Parameters
    ----------
    graph : int
        Bytes of the baseline's file beside its parameters.
    trials : sequence of tuple of Prospect and int
        Of that form, one at least, and the bytes of their files.
    """

    def __init__(self, graph: int, trials: Sequence[tuple[Prospect, int]]):
        self._graph, self._trials = graph, trials
        self._missed = [file - by_arithmetic(other, other.size, graph).value for other, file in trials]

    def at(self, prospect: Prospect) -> Estimate:
        """The bytes of a model's file."""
        size, missed = prospect.size, self._missed
        if not prospect.packed:
            for other, file in self._trials:
                if other.steps == prospect.steps and other.size == size:
                    return Estimate(value=file, low=file * (1 - SAME), high=file * (1 + SAME))
        value = by_arithmetic(prospect, size, self._graph).value + float(np.mean(missed))
        reach = UNKNOWN * value
        if (n := len(missed)) >= FEWEST:  # the interval of one more of them
            spread = float(np.std(missed, ddof=1)) * math.sqrt(1 + 1 / n)
            reach = max(FEW * value, float(t.ppf((1 + CONFIDENCE) / 2, n - 1)) * spread)
        return Estimate(value=value, low=max(0.0, value - reach), high=value + reach)


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
        weights = sum(prospect.outline.coded.bits(prospect, layer) for layer in size.layers) / 8
        graph = graph // 2 + 4 * round(prospect.outline.statistics * size.channels / prospect.whole.channels)
    else:
        each = FLOATS[prospect.precision] * 8
        weights = sum(layer.weights * bits.get(layer.name, each) for layer in size.layers) / 8
    rest = (size.parameters - size.weights) * FLOATS[prospect.precision]
    value = weights + rest + graph
    exact = prospect.form == "float32"
    reach = 0.01 if exact else UNKNOWN
    return Estimate(value=value, low=value * (1 - reach), high=value * (1 + reach) + (BESIDE if bits else 0))


def _row(size: Size) -> np.ndarray:
    return np.array([size.weights, size.channels, 1.0])


def _line(table: np.ndarray, measured: np.ndarray) -> np.ndarray:
    return nnls(table / measured[:, None], np.ones(len(measured)))[0]
