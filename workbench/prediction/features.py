"""What of a recipe decides its accuracy, as numbers that a regression can learn from."""

import math

import numpy as np

from workbench.prediction.curves import LEAST_ERROR, Curves, logit
from workbench.prediction.outline import Size
from workbench.prediction.prospect import Prospect
from workbench.prediction.recovery import Trained
from workbench.sensitivity import Sensitivity

FLOAT_BITS = 16  # more bits make no difference


def by_curves(prospect: Prospect, curves: Curves, known: bool = False, strange: bool = False) -> np.ndarray:
    """Of a recipe, its trainings left out: what the curves of its kind say, and what may move it off them.

    Parameters
    ----------
    prospect : Prospect
    curves : Curves
    known : bool
        Whether this very recipe may be on a curve: then the curve is taken without it.
    strange : bool
        What would be said if nothing were known of its importance.
    """
    whole = prospect.outline.whole_size
    return np.array(
        [
            curves.at(prospect, known, strange),
            curves.damage(prospect),
            logit(_kept(prospect, curves.sensitivity)),
            _rounded(prospect, curves.sensitivity),
            math.log(prospect.size.parameters / whole.parameters),
            _emptied(prospect),
            activation_deficit(prospect),
            float(prospect.importance == "random"),
            float(strange or curves.strange(prospect)),
            1 / prospect.shared.bits if prospect.shared else 0.0,
        ]
    )


def by_anchors(
    prospect: Prospect, curves: Curves, anchored: float, known: bool = False, strange: bool = False
) -> np.ndarray:
    """As `by_curves`, for what anchor points tell of: last the logit of the accuracy that they do.

    Parameters
    ----------
    prospect : Prospect
    curves : Curves
    anchored : float
        The accuracy that anchor points tell.
    known, strange : bool
        As for `by_curves`.
    """
    return np.array(
        [
            curves.at(prospect, known, strange),
            curves.damage(prospect),
            _rounded(prospect, curves.sensitivity),
            _emptied(prospect),
            activation_deficit(prospect),
            logit(anchored),
        ]
    )


def _rounded(prospect: Prospect, sensitivity: Sensitivity) -> float:
    """The logarithm of the sum of what the layers suffer from their bits, each alone."""
    error = sum(sensitivity.error("bits", name, bits) for name, bits in prospect.bits.items())
    return math.log10(error + LEAST_ERROR)


def _emptied(prospect: Prospect) -> float:
    """The logarithm of how many weights there are for each that isn't zero."""
    return -math.log(1 - min(prospect.zeros, 0.995))


def _kept(prospect: Prospect, sensitivity: Sensitivity) -> float:
    """The accuracy if every layer cost its share of it whatever the others do."""
    top = max(sensitivity.baseline.value, 1e-3)
    share = top
    for kind, values in (("ratio", prospect.ratios), ("bits", prospect.bits)):
        for name, value in values.items():
            share *= min(sensitivity.accuracy(kind, name, value) / top, 1.0)
    return share


def trained(prospect: Prospect, size: Size, before: float) -> Trained:
    """Of a recipe that trains: the accuracy that it would have without, how long it trains, and what is left."""
    whole = prospect.whole
    bits = list(prospect.bits.values())
    left = [
        math.log(size.parameters / whole.parameters),
        math.log(size.macs / whole.macs),
        _emptied(prospect),
        math.log2(FLOAT_BITS / min(FLOAT_BITS, float(np.mean(bits)))) if bits else 0.0,
        prospect.distilled,
        prospect.pace,
    ]
    return Trained(before, prospect.updates, np.array(left))


def activation_deficit(prospect: Prospect) -> float:
    """How many halvings of 16 bits the activations have lost."""
    q = prospect.quantize
    if q is None or q.mode == "weight-only":
        return 0.0
    return math.log2(FLOAT_BITS / min(FLOAT_BITS, q.activation_bits))
