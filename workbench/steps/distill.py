"""Distill: let the compressed model learn from a larger one."""

from typing import Literal

from workbench.knobs import knob
from workbench.steps.base import Context, Work
from workbench.steps.finetune import Training


class Distill(Training):
    """Train the model to imitate a teacher, and keep the best epoch by validation accuracy.

    With student logits z, teacher logits t, labels y and temperature T, the loss is
    ``alpha * T^2 * KL(softmax(t/T) || softmax(z/T)) + (1 - alpha) * CE(z, y)`` for soft targets, and
    ``alpha * CE(z, argmax t) + (1 - alpha) * CE(z, y)`` for hard ones.

    References
    ----------
    Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, 2015 (arXiv 1503.02531).
    Touvron et al.: Training data-efficient image transformers, 2021 (arXiv 2012.12877), for hard targets.
    """

    temperature: float = knob(
        4.0, ge=0.5, le=20.0, step=0.5, help="How much the teacher's second guesses count: higher is softer."
    )
    alpha: float = knob(
        0.7, ge=0.0, le=1.0, step=0.05, share=True, help="Weight of the teacher against that of the labels."
    )
    targets: Literal["soft", "hard"] = knob(
        "soft", help="Imitate the teacher's probabilities (soft) or only its answers (hard)."
    )
    teacher: str = knob(
        "baseline",
        help="The model to imitate: 'baseline', or the name of a zoo model trained on this dataset.",
        advanced=True,
    )

    def apply(self, work: Work, context: Context) -> None:
        from workbench.models import teacher_for
        from workbench.training import distillation_loss

        teacher = context.baseline if self.teacher == "baseline" else teacher_for(self.teacher, context.dataset)
        loss = distillation_loss(teacher, self.temperature, self.alpha, self.targets, context.device)
        self.learn(work, context, loss)
