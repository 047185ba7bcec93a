"""What of a recipe decides its accuracy, as numbers that a regression can learn from."""

import math

import numpy as np

from workbench.prediction.outline import Size
from workbench.prediction.prospect import Prospect
from workbench.sensitivity import Sensitivity

LEAST_ERROR = 1e-4  # nats; less is as good as none
FLOAT_BITS = 16  # more bits make no difference


def untrained(prospect: Prospect, size: Size, sensitivity: Sensitivity) -> np.ndarray:
    """Of a recipe, its trainings left out: damage by the sum of its parts, what is left, and how it was chosen."""
    whole = prospect.outline.size({})
    pruned = sum(sensitivity.error("ratio", name, ratio) for name, ratio in prospect.ratios.items())
    rounded = sum(sensitivity.error("bits", name, bits) for name, bits in prospect.bits.items())
    ratios = list(prospect.ratios.values()) or [0.0]
    return np.array(
        [
            math.log10(pruned + LEAST_ERROR),
            math.log10(rounded + LEAST_ERROR),
            math.log10(pruned + rounded + LEAST_ERROR),
            max(ratios),
            math.log(size.parameters / whole.parameters),
            math.log(size.macs / whole.macs),
            -math.log(1 - min(prospect.zeros, 0.995)),
            activation_deficit(prospect),
            float(prospect.importance == "random"),
            1 / prospect.shared.bits if prospect.shared else 0.0,
        ]
    )


def trained(prospect: Prospect, size: Size, before: float) -> np.ndarray:
    """Of a recipe that trains: the accuracy that it would have without, what is left, and how long it trains."""
    whole = prospect.outline.size({})
    p = min(max(before, 1e-3), 1 - 1e-3)
    bits = list(prospect.bits.values())
    return np.array(
        [
            math.log(p / (1 - p)),
            math.log(size.parameters / whole.parameters),
            math.log(size.macs / whole.macs),
            -math.log(1 - min(prospect.zeros, 0.995)),
            math.log2(FLOAT_BITS / min(FLOAT_BITS, float(np.mean(bits)))) if bits else 0.0,
            math.log1p(prospect.epochs),
            prospect.distilled,
        ]
    )


def activation_deficit(prospect: Prospect) -> float:
    """How many halvings of 16 bits the activations have lost."""
    q = prospect.quantize
    if q is None or q.mode == "weight-only":
        return 0.0
    return math.log2(FLOAT_BITS / min(FLOAT_BITS, q.activation_bits))
