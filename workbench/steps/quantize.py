"""Quantize: fewer bits for each number."""

from typing import Literal

from workbench.knobs import knob
from workbench.steps.base import Context, Step, Work


class Quantize(Step):
    """Store and compute with small integers instead of 32-bit floats.

    The step declares; the runtime carries it out when it exports, so that what is measured runs on real integer
    kernels. A runtime that has none for these bits refuses.

    References
    ----------
    Jacob et al.: Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018
    (arXiv 1712.05877).
    """

    weight_bits: int = knob(8, ge=1, le=16, choices=(8, 4), unit="bits", help="Bits of each stored weight.")
    mode: Literal["static", "dynamic", "weight-only"] = knob(
        "static",
        help="Static: ranges are measured on calibration samples. Dynamic: at every run. "
        "Weight-only: only storage shrinks.",
    )
    activation_bits: int = knob(
        8, ge=1, le=32, choices=(8, 32), unit="bits", help="Bits of each intermediate result.", advanced=True
    )
    observer: Literal["minmax", "percentile", "entropy"] = knob(
        "minmax", help="How the range of activations is chosen from the calibration samples.", advanced=True
    )
    calibration_samples: int = knob(
        256, ge=16, le=512, step=16, unit="samples", help="Training samples looked at for calibration.", advanced=True
    )

    def apply(self, work: Work, context: Context) -> None:
        from torch import nn

        work.quantization = self
        floats = any(isinstance(layer, nn.modules.conv._ConvNd) for layer in work.module.modules())
        if self.mode != "static" and floats:
            work.notes.append(f"Quantized {self.mode}: linear layers only; convolutions stay 32-bit floats.")
