"""From the widths of a model's layers to its speed: a line through measured models, with the interval they deserve."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from workbench.estimates import Estimate
from workbench.prediction.base import CONFIDENCE
from workbench.prediction.outline import LayerSize

PADDINGS = (1, 4, 8, 16)
FEWEST = 5  # measured models, of which a line can be told
SHARPEST, WIDEST = 0.03, 1.0  # half widths of measured shares, within which a narrower one counts more


@dataclass(frozen=True)
class LatencyModel:
    r"""What share of the baseline's latency a model takes.

    .. math:: t / t_0 = a \sum_l m_l(p) / M + b \sum_l v_l / V + c

    with :math:`m_l(p)` a layer's multiply-accumulates once its channels are rounded up to a multiple of p, as vector
    kernels compute them, :math:`v_l` the numbers it reads and writes, M and V their sums in the unpruned model, and
    a, b, c at least zero, by least squares of relative errors. The padding p is that of the least error when each
    measured model is left out in turn, and those errors, sorted, give the interval (jackknife; Barber et al.:
    Predictive inference with the jackknife+, 2021).

    Attributes
    ----------
    padding : int
    weights : numpy.ndarray
        a, b and c.
    errors : numpy.ndarray
        Absolute logarithms of measured over predicted, each predicted without itself.
    """

    whole: tuple[LayerSize, ...]
    padding: int
    weights: np.ndarray
    errors: np.ndarray

    @classmethod
    def fitted(
        cls, whole: tuple[LayerSize, ...], models: Sequence[tuple[LayerSize, ...]], shares: Sequence[Estimate]
    ) -> "LatencyModel | None":
        """Through measured models and their shares of the baseline's latency; None where they are too few.

        Parameters
        ----------
        whole : tuple of LayerSize
            The unpruned model.
        models : sequence of tuple of LayerSize
        shares : sequence of Estimate
            Each counts the more, the narrower its interval.
        """
        if len(models) < FEWEST:
            return None
        measured = np.array([share.value for share in shares])
        trust = 1 / np.array([SHARPEST + min(share.half_width, WIDEST) for share in shares])
        best: LatencyModel | None = None
        for padding in PADDINGS:
            table = np.array([_features(layers, whole, padding) for layers in models])
            errors = np.empty(len(models))
            for index in range(len(models)):
                others = np.arange(len(models)) != index
                expected = table[index] @ _line(table[others], measured[others], trust[others])
                errors[index] = abs(np.log(measured[index] / max(expected, 1e-9)))
            if best is None or np.median(errors) < np.median(best.errors):
                best = cls(whole, padding, _line(table, measured, trust), errors)
        return best

    def share(self, layers: tuple[LayerSize, ...]) -> Estimate:
        """The share of the baseline's latency that a model takes, with its interval."""
        expected = max(float(_features(layers, self.whole, self.padding) @ self.weights), 1e-9)
        count = len(self.errors)
        rank = int(np.ceil((count + 1) * CONFIDENCE))
        reach = float(np.sort(self.errors)[min(rank, count) - 1])
        if rank > count:  # too few to tell so rare an error
            reach *= 1.5
        return Estimate(value=expected, low=expected * np.exp(-reach), high=expected * np.exp(reach))


def _features(layers: tuple[LayerSize, ...], whole: tuple[LayerSize, ...], padding: int) -> np.ndarray:
    def macs(some: tuple[LayerSize, ...]) -> float:
        return sum(_up(x.outputs, padding) * _up(x.inputs, padding) * x.kernel * x.positions for x in some)

    def moved(some: tuple[LayerSize, ...]) -> float:
        return sum((x.outputs + x.inputs) * x.positions + x.weights for x in some)

    return np.array([macs(layers) / macs(whole), moved(layers) / moved(whole), 1.0])


def _up(channels: int, padding: int) -> int:
    return -(-channels // padding) * padding


def _line(table: np.ndarray, shares: np.ndarray, trust: np.ndarray) -> np.ndarray:
    return nnls(table * (trust / shares)[:, None], trust)[0]
