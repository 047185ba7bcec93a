"""Quantize: fewer bits for each number."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from workbench.errors import WorkbenchError
from workbench.knobs import knob
from workbench.steps.base import Context, Step, Work

BLOCK = 32  # weights that share a scale in weight-only quantization
WIDEST = 16  # bits of a grid
CANDIDATES = (2, 3, 4, 6, 8)  # bits that an integer program chooses among
FLOATS = 32  # bits of what isn't quantized


class Quantize(Step):
    """Store and compute with small integers instead of 32-bit floats.

    The weights are rounded onto their grid at once, after training; any training later in the recipe is then
    quantization-aware: weights and what flows between layers are rounded in every forward pass, and the scales are
    learned too (that of binary and of ternary weights follows from the weights, and dynamic ranges from what flows).
    What the runtime has kernels for runs on them; what it has none for is refused, or simulated.

    References
    ----------
    Jacob et al.: Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2018
    (arXiv 1712.05877). Esser et al.: Learned Step Size Quantization, 2020 (arXiv 1902.08153), for training after it.
    Rastegari et al.: XNOR-Net, 2016 (arXiv 1603.05279), for one bit. Li et al.: Ternary Weight Networks, 2016 (arXiv
    1605.04711). Nagel et al., 2019 (arXiv 1906.04721), for equalization and bias correction. Nagel et al., 2020 (arXiv
    2004.10568), for AdaRound. Frantar et al., 2023 (arXiv 2210.17323), for GPTQ. Xiao et al., 2023 (arXiv 2211.10438),
    for smoothing.
    """

    kinds: ClassVar[tuple[str, ...]] = ("Quantize",)

    weight_bits: int = knob(
        8, ge=1, le=WIDEST, choices=(8, 6, 4, 3, 2, 1), unit="bits", help="Bits of each stored weight; 1 is a sign."
    )
    mode: Literal["static", "dynamic", "weight-only"] = knob(
        "static",
        help="Static: ranges are measured on calibration samples. Dynamic: at every run. "
        "Weight-only: only storage shrinks.",
    )
    activation_bits: int = knob(
        8,
        ge=1,
        le=32,
        choices=(8, 4, 2, 1, 32),
        unit="bits",
        help="Bits of each intermediate result; 32 leaves them floats.",
        advanced=True,
    )
    simulate: bool = knob(
        False,
        label="Simulate what has no kernel",
        help="Round as asked even where the runtime can't compute so; speed is then not claimed.",
    )
    rounding: Literal["nearest", "adaround", "gptq"] = knob(
        "nearest",
        help="To the nearest value, up or down as learned (AdaRound), or so that later columns make up for the error "
        "(GPTQ).",
        advanced=True,
    )
    granularity: Literal["channel", "tensor"] = knob(
        "channel",
        help="A scale for each output channel, or one for the whole weight; weight-only has one for every 32 inputs.",
        advanced=True,
    )
    weight_observer: Literal["mse", "minmax", "percentile", "entropy"] = knob(
        "mse",
        help="How the range of weights is chosen: least squared error, the largest, nearly so, or least divergence "
        "(entropy).",
        advanced=True,
    )
    observer: Literal["mse", "minmax", "percentile", "entropy"] = knob(
        "mse", help="How the range of activations is chosen from the calibration samples.", advanced=True
    )
    calibration_samples: int = knob(
        256, ge=16, le=512, step=16, unit="samples", help="Training samples looked at for calibration.", advanced=True
    )
    equalize: bool = knob(
        False, help="First share out the ranges of layers that follow each other (equalization).", advanced=True
    )
    smoothing: float = knob(
        0.0,
        ge=0.0,
        le=1.0,
        step=0.05,
        help="How much of the activations' range after layer-norms moves into the weights (SmoothQuant); 0 is off.",
        advanced=True,
    )
    bias_correction: bool = knob(
        False, help="Shift biases so that rounding leaves each layer's mean output alone.", advanced=True
    )
    ternary: bool = knob(
        False, help="Make two-bit weights -1, 0 or 1 times a scale (TWN); others stay as they are.", advanced=True
    )
    keep_ends: bool = knob(
        False, label="Eight bits at both ends", help="Give the first and the last layer 8 bits.", advanced=True
    )
    average_bits: float = knob(
        0.0,
        ge=0.0,
        le=8.0,
        step=0.25,
        help="Let an integer program choose each layer's bits for this average, among those with kernels where there "
        "are several and nothing is simulated; 0 is off.",
        advanced=True,
    )
    byte_budget: int = knob(
        0,
        ge=0,
        le=10**10,
        unit="bytes",
        help="Let an integer program choose each layer's bits so that the quantized weights and their scales take at "
        "most so many bytes, before any entropy coding; 0 is off.",
        advanced=True,
    )
    latency_budget: float = knob(
        0.0,
        ge=0.0,
        le=1.0,
        step=0.05,
        share=True,
        help="Let an integer program leave in floats what suffers most, as long as the file takes at most this share "
        "of the floats' latency, timed on this device; 0 is off.",
        advanced=True,
    )
    layers: dict[str, Annotated[int, Field(ge=1, le=FLOATS)]] = knob(
        {},
        label="Bits by layer",
        help="Layers whose weights get other bits, 1 to 16; 32 leaves a layer in floats.",
        advanced=True,
    )

    @model_validator(mode="after")
    def _works(self) -> "Quantize":
        for name, bits in self.layers.items():
            if WIDEST < bits < FLOATS:
                raise WorkbenchError(
                    f"The layer '{name}' can't have {bits} bits.", f"Give it 1 to {WIDEST}, or {FLOATS} for floats."
                )
        if WIDEST < self.activation_bits < FLOATS:
            raise WorkbenchError(
                f"Activations can't have {self.activation_bits} bits.", f"Give 1 to {WIDEST}, or {FLOATS} for floats."
            )
        if self.mode == "weight-only" and self.weight_observer == "entropy":
            raise WorkbenchError(
                f"The observer entropy needs a histogram of many values; weight-only has blocks of {BLOCK}.",
                "Choose another weight_observer.",
            )
        if self.average_bits and self.byte_budget:
            raise WorkbenchError("Average bits and bytes are two budgets for the same.", "Set one of them to 0.")
        if self.latency_budget and (self.chooses or self.simulate or self.mode != "static"):
            raise WorkbenchError(
                "A latency budget is for static integers on real kernels alone.",
                "Leave mode at 'static', simulate off and the other budgets at 0, or set latency_budget to 0.",
            )
        return self

    @property
    def chooses(self) -> bool:
        """Whether an integer program chooses the bits of layers for their size."""
        return bool(self.average_bits or self.byte_budget)

    @property
    def candidates(self) -> frozenset[int]:
        """Bits among which those of a layer are chosen, unless it has its own."""
        return frozenset(CANDIDATES) if self.chooses else frozenset({self.weight_bits})

    @property
    def widths(self) -> frozenset[int]:
        """Every number of bits that a quantized weight may come to have."""
        return (self.candidates | set(self.layers.values()) | ({8} if self.keep_ends else set())) - {FLOATS}

    def apply(self, work: Work, context: Context) -> None:
        from workbench.quantization.post_training import quantize

        quantize(work, self, context)
