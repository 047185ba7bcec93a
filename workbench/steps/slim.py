"""Slim: let training find the channels that aren't needed, then cut them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workbench.knobs import knob
from workbench.steps.base import Context, Work
from workbench.steps.finetune import Training


class Slim(Training):
    """Train with a penalty that drives whole channels towards zero, then cut those.

    Network slimming penalizes the scales of batch-norms, group lasso all weights that go with a channel, and growing
    regularization ever more strongly those of the channels that are to go. The last epoch is kept, whatever its
    accuracy: what a channel did has moved to others by then. A Finetune after it recovers the rest.

    References
    ----------
    Liu et al.: Learning Efficient Convolutional Networks through Network Slimming, 2017 (arXiv 1708.06519). Wen et al.:
    Learning Structured Sparsity in Deep Neural Networks, 2016 (arXiv 1608.03665). Wang et al.: Neural Pruning via
    Growing Regularization, 2021 (arXiv 2012.09243).
    """

    kinds: ClassVar[tuple[str, ...]] = ("Prune", "Train")

    ratio: float = knob(
        0.5, ge=0.0, le=0.95, step=0.05, share=True, label="Share to cut", help="Share of the channels cut at the end."
    )
    method: Literal["lasso", "scales", "growing"] = knob(
        "lasso",
        help="What is penalized: all weights of a channel (group lasso), batch-norm scales (network slimming), or the "
        "weights of the smallest channels, ever more (growing).",
    )
    scope: Literal["layer", "global"] = knob(
        "layer", help="The same share of every layer, or the least important of the whole model."
    )
    strength: float = knob(
        1.0, ge=0.01, le=100.0, log=True, help="How strong the penalty is, as a multiple of what is usual."
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
    layers: dict[str, Annotated[float, Field(ge=0.0, le=0.95)]] = knob(
        {},
        label="Shares by layer",
        help="Shares of single layers; 0 leaves a layer alone, by the penalty too.",
        advanced=True,
        of="channels",
    )

    def apply(self, work: Work, context: Context) -> None:
        from workbench.slimming import PENALTIES

        context.report(message="Looking for the channels")
        penalty = PENALTIES[self.method](work, self, context)
        self.learn(work, context, penalty=penalty, after_update=penalty.grow, since=1.0)
        penalty.cut(work, context)
