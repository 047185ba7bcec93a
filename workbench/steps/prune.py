"""Prune: remove what matters least."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from workbench.errors import WorkbenchError
from workbench.knobs import knob
from workbench.steps.base import Context, Step, Work

_UNITS = ("l1", "l2", "group", "taylor", "hessian", "lamp", "fpgm", "ablation", "random")
_WEIGHTS = ("l1", "l2", "taylor", "hessian", "lamp", "random")
_SCOPES = ("layer", "global", "isomorphic")
_TARGETS = ("none", "macs", "parameters", "bytes", "latency")

WORKS_WITH: dict[str, dict[str, tuple[str, ...]]] = {
    "channel": {"importance": (*_UNITS, "bn", "apoz"), "scope": (*_SCOPES, "latency"), "target": _TARGETS},
    "mlp": {"importance": (*_UNITS, "apoz"), "scope": (*_SCOPES, "latency"), "target": _TARGETS},
    "head": {"importance": _UNITS, "scope": _SCOPES, "target": _TARGETS},
    "block": {
        "importance": ("l1", "l2", "taylor", "hessian", "ablation", "random"),
        "scope": ("layer", "global"),
        "target": _TARGETS,
    },
    "weight": {"importance": _WEIGHTS, "scope": ("layer", "global"), "target": ("none", "parameters", "bytes")},
    "n:m": {"importance": _WEIGHTS, "scope": ("layer",), "target": ("none",)},
}
"""What each granularity can be combined with, by knob."""


def multiple_of_channels() -> Any:
    """The knob of all steps that cut channels: what their number is rounded to."""
    return knob(
        1,
        ge=1,
        le=64,
        choices=(1, 2, 4, 8, 16, 32),
        unit="channels",
        label="Round channels to",
        help="Keep a multiple of this many channels: int8 kernels like multiples of 8 or 16.",
        advanced=True,
    )


class Prune(Step):
    """Remove the least important channels, heads or blocks, or set the least important single weights to zero.

    Channels are really cut out, with everything that depends on them; the classifier's outputs never are. Heads are
    those of attention, and widths (mlp) the hidden features between two linear layers. Blocks are parts of the model
    whose output has the shape of their input, and which it can do without. Single weights become zeros, one by one or
    in squares, and stay so in any later training; dense kernels run zeros like any number. N:M keeps the N most
    important of every M neighbours along a layer's inputs, the pattern that sparse tensor cores (2:4) ask for.

    References
    ----------
    Fang et al.: DepGraph, 2023 (arXiv 2301.12900), for what depends on a channel, and the norm of the whole group.
    Fang et al.: Isomorphic Pruning, 2024 (arXiv 2407.04616). Yang et al.: NetAdapt, 2018 (arXiv 1804.03230), and
    Shen et al.: HALP, 2022 (arXiv 2110.10811), for channels chosen by measured latency. Michel et al.: Are Sixteen
    Heads Really Better than One?, 2019 (arXiv 1905.10650). Han et al.: Learning both Weights and Connections, 2015
    (arXiv 1506.02626), for single weights. Narang et al.: Block-Sparse Recurrent Neural Networks, 2017 (arXiv
    1711.02782), for squares of them. Mishra et al.: Accelerating Sparse Deep Neural Networks, 2021 (arXiv
    2104.08378), for N:M. `workbench.pruning.importance` names the paper of each importance.
    """

    kinds: ClassVar[tuple[str, ...]] = ("Prune",)

    ratio: float = knob(0.5, ge=0.0, le=0.95, step=0.05, share=True, label="Pruning ratio", help="Share to remove.")
    granularity: Literal["channel", "mlp", "head", "block", "weight", "n:m"] = knob(
        "channel",
        help="Channels, hidden widths of linear layers (mlp), attention heads and whole blocks make the model smaller "
        "and faster; single weights, or all but N of every M (n:m), only turn into zeros.",
    )
    importance: Literal[
        "l1", "l2", "group", "bn", "taylor", "hessian", "fpgm", "lamp", "apoz", "ablation", "random"
    ] = knob(
        "l2",
        help="What counts as unimportant: small weights (L1, L2, LAMP; group: of all that hangs together), small "
        "batch-norm scales (BN), little effect on the loss (Taylor, Hessian) or on the outputs (ablation: tried one "
        "by one), filters like the others (FPGM), activations that are mostly zero (APoZ), or chance.",
    )
    scope: Literal["layer", "global", "isomorphic", "latency"] = knob(
        "layer",
        help="The same share of every layer, or the least important of the whole model, of layers of one kind "
        "(isomorphic), or per millisecond that they cost on this device (latency).",
    )
    target: Literal["none", "macs", "parameters", "bytes", "latency"] = knob(
        "none",
        help="Prune by the ratio (none), or find the ratio at which the model keeps at most the share or figure below "
        "of its operations (MACs), parameters, file size or measured latency. Single weights: parameters are those "
        "that are not zero, bytes those of a packed file.",
        advanced=True,
    )
    keep: float = knob(
        0.5,
        ge=0.05,
        le=1.0,
        step=0.05,
        share=True,
        label="Keep at most",
        help="What the target may be, as a share of what it was before this step.",
        advanced=True,
    )
    limit: float = knob(
        0.0,
        ge=0.0,
        le=1e12,
        step=1.0,
        help="What the target may be at most in figures: MACs for one input, parameters, bytes, or milliseconds of a "
        "call; 0 goes by the share above.",
        advanced=True,
    )
    round_to: int = multiple_of_channels()
    layers: dict[str, Annotated[float, Field(ge=0.0, le=0.95)]] = knob(
        {},
        label="Ratios by layer",
        help="Ratios of single layers; 0 leaves a layer alone.",
        advanced=True,
        of="channels",
    )
    threshold: float = knob(
        0.0,
        ge=0.0,
        le=1.0,
        step=0.001,
        help="Single weights: zero all whose absolute value is smaller than this; 0 goes by the ratio.",
        advanced=True,
    )
    block_size: int = knob(
        1,
        ge=1,
        le=32,
        choices=(1, 4, 8, 16, 32),
        unit="weights",
        help="Single weights: squares of so many rows and columns become zeros together, as block-sparse kernels (BSR) "
        "take them; 1 judges each weight by itself.",
        advanced=True,
    )
    n: int = knob(
        2, ge=1, le=16, unit="weights", label="Keep N", help="N:M: so many of every M are kept.", advanced=True
    )
    m: int = knob(
        4, ge=2, le=32, unit="weights", label="Of every M", help="N:M: so many neighbours make a group.", advanced=True
    )

    @model_validator(mode="after")
    def _works(self) -> "Prune":
        for name, choices in WORKS_WITH[self.granularity].items():
            chosen = getattr(self, name)
            if chosen not in choices:
                raise WorkbenchError(
                    f"Pruning with granularity '{self.granularity}' can't have {name} '{chosen}'.",
                    f"Choose one of: {', '.join(choices)}.",
                )
        return self

    def apply(self, work: Work, context: Context) -> None:
        from workbench.pruning import GRANULARITIES

        what = "every layer" if self.scope == "layer" else "the model"
        left = f"{self.limit:,g}" if self.limit else f"{self.keep:.0%}"
        aim = f"{self.ratio:.0%} of {what}" if self.target == "none" else f"to {left} of its {self.target}"
        context.report(message=f"Pruning {aim}")
        GRANULARITIES[self.granularity](work, self, context)
