"""Finetune: go on training; also the declaration of everything that any training can be told."""

from typing import TYPE_CHECKING, Literal

from workbench.knobs import knob
from workbench.steps.base import Context, Step, Work

if TYPE_CHECKING:
    from workbench.training import Loss


class Training(Step):
    """The knobs that every step which trains has in common."""

    epochs: int = knob(
        1, ge=1, le=200, step=1, log=True, unit="epochs", help="How often the whole training set is gone through."
    )
    learning_rate: float = knob(
        0.001, ge=1e-5, le=1.0, log=True, help="How far each update moves the weights; too high and training diverges."
    )
    optimizer: Literal["sgd", "adam", "adamw"] = knob(
        "adamw", help="How updates are computed: SGD has Nesterov momentum 0.9.", advanced=True
    )
    weight_decay: float = knob(
        1e-4, ge=0.0, le=0.1, step=1e-4, help="How strongly weights are pulled towards zero.", advanced=True
    )
    batch_size: int = knob(
        128, ge=8, le=4096, log=True, unit="samples", help="Samples looked at for each update.", advanced=True
    )
    warmup: float = knob(
        0.05,
        ge=0.0,
        le=0.5,
        step=0.05,
        share=True,
        help="Share of the updates during which the learning rate rises from near zero.",
        advanced=True,
    )
    final_rate: float = knob(
        0.0,
        ge=0.0,
        le=1.0,
        step=0.05,
        share=True,
        label="Final learning rate",
        help="Share of the learning rate that is left when the cosine decay ends.",
        advanced=True,
    )
    augment: Literal["none", "shift", "shift+flip"] = knob(
        "none", help="Random changes to training images: shifts by up to 4 pixels, mirroring.", advanced=True
    )
    crop: int = knob(
        0,
        ge=0,
        le=1024,
        unit="pixels",
        help="Train on random crops of this size, which is faster; 0 takes whole images.",
        advanced=True,
    )

    def learn(self, work: Work, context: Context, loss: "Loss | None" = None) -> None:
        """Train the work's module as these knobs say, under all that was laid on it."""
        from workbench.training import train

        train(work.module, context.dataset, self, constraints=work.constraints.values(), context=context, loss=loss)


class Finetune(Training):
    """Train the model further on the labels, and keep the best epoch by validation accuracy."""

    def apply(self, work: Work, context: Context) -> None:
        self.learn(work, context)
