"""Sparsify: zero single weights while the model learns to do without them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workbench.knobs import knob
from workbench.steps.base import Context, Work
from workbench.steps.finetune import Training


class Sparsify(Training):
    """Prune single weights during training, bit by bit, so that the others can make up for them.

    Gradual pruning zeroes the smallest weights along a cubic schedule. Iterative pruning trains anew after each round.
    The lottery does so too, but first puts the kept weights back to where they began. Movement pruning keeps the
    weights that training moves away from zero, however small they are; it is for models that still have much to learn.
    Zeros stay so in any later training; dense kernels run them like any number.

    References
    ----------
    Zhu, Gupta: To prune, or not to prune, 2017 (arXiv 1710.01878). Han et al.: Learning both Weights and Connections,
    2015 (arXiv 1506.02626). Frankle, Carbin: The Lottery Ticket Hypothesis, 2019 (arXiv 1803.03635). Sanh, Wolf,
    Rush: Movement Pruning, 2020 (arXiv 2005.07683).
    """

    kinds: ClassVar[tuple[str, ...]] = ("Prune", "Train")

    ratio: float = knob(0.8, ge=0.0, le=0.99, step=0.01, share=True, label="Sparsity", help="Share to set to zero.")
    method: Literal["gradual", "iterative", "lottery", "movement"] = knob(
        "gradual",
        help="During one training (gradual, movement), or in rounds of pruning and training (iterative, lottery).",
    )
    scope: Literal["layer", "global"] = knob(
        "layer", help="The same share of every layer, or the least important of the whole model."
    )
    rounds: int = knob(
        3, ge=1, le=30, unit="rounds", help="Iterative, lottery: how often it is pruned, each with a whole training."
    )
    rewind: int = knob(
        0,
        ge=0,
        le=50,
        unit="epochs",
        help="Lottery: the weights are put back to where they stood after so many epochs.",
        advanced=True,
    )
    fresh: bool = knob(
        False,
        label="Fresh start",
        help="Lottery: begin with new random weights, as in the paper, instead of those that the model has.",
        advanced=True,
    )
    until: float = knob(
        0.75,
        ge=0.1,
        le=1.0,
        step=0.05,
        share=True,
        help="Gradual, movement: share of the training after which no more is removed.",
        advanced=True,
    )
    every: int = knob(
        10,
        ge=1,
        le=1000,
        log=True,
        unit="updates",
        help="Gradual, movement: updates from one pruning to the next.",
        advanced=True,
    )
    layers: dict[str, Annotated[float, Field(ge=0.0, le=0.99)]] = knob(
        {}, label="Sparsity by layer", help="Shares of single layers; 0 leaves a layer alone.", advanced=True
    )

    def apply(self, work: Work, context: Context) -> None:
        from workbench.sparsity import METHODS

        context.report(message=f"Setting {self.ratio:.0%} of the weights to zero while training")
        METHODS[self.method](work, self, context)
