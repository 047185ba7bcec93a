"""Distill: let the compressed model learn from a larger one."""

from typing import Literal

from workbench.knobs import knob
from workbench.steps.base import Context, Work
from workbench.steps.finetune import Training


class Distill(Training):
    """Train the model to imitate a teacher, and keep the best epoch by its score on the validation split.

    With student logits z and labels y the loss is ``alpha * imitation + (1 - alpha) * CE(z, y) + feature_weight *
    features``: what is imitated, and what features are compared, say the knobs `targets` and `features`; the formula
    of each kind is in its file in `workbench/distillation`. CE is the loss of the dataset's task: a regression has its
    mean squared error, also against the teacher. Teacher ``self`` is self-distillation, and with fresh
    weights a born-again network. Data ``calibration`` uses neither the training set nor any label.

    References
    ----------
    Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, 2015 (arXiv 1503.02531).
    Furlanello et al.: Born-Again Neural Networks, 2018 (arXiv 1805.04770).
    Mirzadeh et al.: Improved Knowledge Distillation via Teacher Assistant, 2020 (arXiv 1902.03393).
    """

    temperature: float = knob(
        4.0, ge=0.5, le=20.0, step=0.5, help="How much the teacher's second guesses count: higher is softer."
    )
    alpha: float = knob(
        0.7, ge=0.0, le=1.0, step=0.05, share=True, help="Weight of the teacher against that of the labels."
    )
    targets: Literal["soft", "hard", "soft+hard"] = knob(
        "soft", help="Imitate the teacher's probabilities (soft), only its answers (hard), or half of each."
    )
    features: Literal["none", "hints", "attention", "relational"] = knob(
        "none",
        help="Also imitate inner layers: their values (hints), where they look (attention), or how samples lie to each "
        "other (relational).",
        advanced=True,
    )
    feature_weight: float = knob(
        1.0, ge=0.0, le=10.0, step=0.1, help="Weight of the features; 1 is that of the paper.", advanced=True
    )
    pairs: str = knob(
        "auto",
        label="Paired layers",
        help="Whose features are compared: 'auto' goes by equal size, 'student:teacher, ...' names the layers.",
        advanced=True,
    )
    teacher: str = knob(
        "baseline",
        help="The model to imitate: 'baseline', 'self' (as it is before this step), a zoo model trained on this "
        "dataset, or in Python and on the command line your own, as package.module:factory.",
        advanced=True,
    )
    assistants: int = knob(
        0,
        ge=0,
        le=3,
        unit="models",
        help="Models of sizes in between: the teacher teaches the first, each the next, the last one the student.",
        advanced=True,
    )
    student: str = knob(
        "same",
        help="The model that learns: 'same' is the one at hand, else a zoo model with fresh weights takes its place, "
        "or in Python and on the command line your own, as package.module:factory.",
        advanced=True,
    )
    fresh: bool = knob(False, label="Fresh weights", help="Let the student start from random weights.", advanced=True)
    data: Literal["training", "calibration"] = knob(
        "training",
        help="Learn from the training set, or from the teacher's answers to the calibration samples alone.",
        advanced=True,
    )

    def check(self, context: Context) -> None:
        from workbench.distillation import check

        super().check(context)
        check(self, context)

    def apply(self, work: Work, context: Context) -> None:
        from workbench.distillation import distill

        distill(work, self, context)
