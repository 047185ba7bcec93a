"""Prune: remove what matters least."""

from typing import Literal

from workbench.knobs import knob
from workbench.steps.base import Context, Step, Work


class Prune(Step):
    """Remove the least important channels, or set the least important single weights to zero.

    Channels are really cut out, with everything that depends on them; the classifier's outputs never are. Single
    weights become zeros and stay so in any later training; dense kernels run zeros like any number.

    References
    ----------
    Fang et al.: DepGraph, 2023 (arXiv 2301.12900), for channels. Han et al.: Learning both Weights and Connections,
    2015 (arXiv 1506.02626), for single weights. Molchanov et al.: Importance Estimation for Neural Network Pruning,
    2019 (arXiv 1906.10771), for the Taylor importance.
    """

    ratio: float = knob(0.5, ge=0.0, le=0.95, step=0.05, share=True, label="Pruning ratio", help="Share to remove.")
    granularity: Literal["channel", "weight"] = knob(
        "channel", help="Whole channels make the model smaller and faster; single weights only turn into zeros."
    )
    importance: Literal["l1", "l2", "taylor", "random"] = knob(
        "l2", help="What counts as unimportant: small weights (L1, L2), little effect on the loss (Taylor), or chance."
    )
    scope: Literal["layer", "global"] = knob(
        "layer", help="The same share of every layer, or the least important of the whole model."
    )
    round_to: int = knob(
        1,
        ge=1,
        le=64,
        choices=(1, 2, 4, 8, 16, 32),
        unit="channels",
        label="Round channels to",
        help="Keep a multiple of this many channels: int8 kernels like multiples of 8 or 16.",
        advanced=True,
    )

    def apply(self, work: Work, context: Context) -> None:
        from workbench.pruning import GRANULARITIES

        context.report(message=f"Pruning {self.ratio:.0%} of {'every layer' if self.scope == 'layer' else 'the model'}")
        GRANULARITIES[self.granularity](work, self, context)
