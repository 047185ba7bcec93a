"""From the widths of a model's layers to its speed: a line through measured models, with the interval they deserve."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from workbench.estimates import Estimate
from workbench.prediction.base import CONFIDENCE
from workbench.prediction.outline import LayerSize

MULTIPLES = (1, 4, 8, 16)
IMAGE = 4  # so few inputs are an image's, or a group's of its own, which kernels have other ways for
FEWEST = 5  # measured models, of which a line can be told
SHARPEST, WIDEST = 0.03, 1.0  # half widths of measured shares, within which a narrower one counts more


@dataclass(frozen=True)
class LatencyModel:
    r"""What share of the baseline's latency a model takes.

    .. math:: t / t_0 = a \sum_l e_l / M + b \sum_l o_l / M + c \sum_l v_l / V + d

    with :math:`v_l` the numbers that a layer reads and writes, :math:`e_l` its multiply-accumulates if its channels
    are multiples of p, and :math:`o_l` if they are not, M and V the sums in the unpruned model, and a to d at least
    zero, by least squares of relative errors. Kernels go about odd channels in one of two ways: they compute whole
    vectors, as if there were more of them (then :math:`e_l` is that, and :math:`o_l` nothing), or they take another
    way, which is slower. The way and p are those of the least error when each measured model is left out in turn, and
    those errors, sorted, give the interval (jackknife; Barber et al.: Predictive inference with the jackknife+, 2021).

    Attributes
    ----------
    multiple : int
        p.
    padded : bool
        Whether odd channels are computed as whole vectors.
    weights : numpy.ndarray
        a to d.
    errors : numpy.ndarray
        Absolute logarithms of measured over predicted, each predicted without itself.
    """

    whole: tuple[LayerSize, ...]
    multiple: int
    padded: bool
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
        for multiple, padded in itertools.product(MULTIPLES, (False, True)):
            table = np.array([_features(layers, whole, multiple, padded) for layers in models])
            errors = np.empty(len(models))
            for index in range(len(models)):
                others = np.arange(len(models)) != index
                expected = table[index] @ _line(table[others], measured[others], trust[others])
                errors[index] = abs(np.log(measured[index] / max(expected, 1e-9)))
            if best is None or errors.mean() < best.errors.mean():
                best = cls(whole, multiple, padded, _line(table, measured, trust), errors)
        return best

    def share(self, layers: tuple[LayerSize, ...]) -> Estimate:
        """The share of the baseline's latency that a model takes, with its interval."""
        features = _features(layers, self.whole, self.multiple, self.padded)
        expected = max(float(features @ self.weights), 1e-9)
        count = len(self.errors)
        rank = int(np.ceil((count + 1) * CONFIDENCE))
        reach = float(np.sort(self.errors)[min(rank, count) - 1])
        if rank > count:  # too few to tell so rare an error
            reach *= 1.5
        return Estimate(value=expected, low=expected * np.exp(-reach), high=expected * np.exp(reach))


def _features(layers: tuple[LayerSize, ...], whole: tuple[LayerSize, ...], multiple: int, padded: bool) -> np.ndarray:
    size = multiple if padded else 1
    total, moved = sum(_macs(layer, size) for layer in whole), sum(map(_moved, whole))
    odd = [layer for layer in layers if not padded and _odd(layer, multiple)]
    aside = sum(_macs(layer, size) for layer in odd)
    even = sum(_macs(layer, size) for layer in layers) - aside
    return np.array([even / total, aside / total, sum(map(_moved, layers)) / moved, 1.0])


def _odd(layer: LayerSize, multiple: int) -> bool:
    return layer.outputs % multiple > 0 or (layer.inputs > IMAGE and layer.inputs % multiple > 0)


def _macs(layer: LayerSize, multiple: int) -> int:
    return _up(layer.outputs, multiple) * _up(layer.inputs, multiple) * layer.kernel * layer.positions


def _moved(layer: LayerSize) -> int:
    return (layer.outputs + layer.inputs) * layer.positions + layer.weights


def _up(channels: int, multiple: int) -> int:
    return -(-channels // multiple) * multiple


def _line(table: np.ndarray, shares: np.ndarray, trust: np.ndarray) -> np.ndarray:
    return nnls(table * (trust / shares)[:, None], trust)[0]
