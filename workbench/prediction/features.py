"""What of a recipe decides its accuracy, as numbers that a regression can learn from."""

import math

import numpy as np

from workbench.prediction.curves import LEAST_ERROR, Curves, logit
from workbench.prediction.outline import Size
from workbench.prediction.prospect import Prospect
from workbench.prediction.recovery import Trained
from workbench.sensitivity import Sensitivity

FLOAT_BITS = 16  # more bits make no difference


def untrained(
    prospect: Prospect,
    curves: Curves,
    anchored: float | None = None,
    known: bool = False,
    strange: bool = False,
) -> np.ndarray:
    """Of a recipe, its trainings left out: what the curves of its kind say, and what may move it off them.

    Parameters
    ----------
    prospect : Prospect
    curves : Curves
    anchored : float, optional
        The accuracy that anchor points tell; the curves stand in for it where they can't.
    known : bool
        Whether this very recipe may be on a curve: then the curve is taken without it.
    strange : bool
        What would be said if nothing were known of its importance.
    """
    whole, sensitivity = prospect.outline.whole_size, curves.sensitivity
    rounded = sum(sensitivity.error("bits", name, bits) for name, bits in prospect.bits.items())
    along = curves.at(prospect, known, strange)
    return np.array(
        [
            along,
            curves.damage(prospect),
            logit(_kept(prospect, sensitivity)),
            math.log10(rounded + LEAST_ERROR),
            math.log(prospect.size.parameters / whole.parameters),
            -math.log(1 - min(prospect.zeros, 0.995)),
            activation_deficit(prospect),
            float(prospect.importance == "random"),
            float(strange or curves.strange(prospect)),
            1 / prospect.shared.bits if prospect.shared else 0.0,
            along if anchored is None else logit(anchored),
        ]
    )


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
        -math.log(1 - min(prospect.zeros, 0.995)),
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
