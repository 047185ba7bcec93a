"""Finetune: go on training; also the declaration of everything that any training can be told."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from workbench.knobs import knob
from workbench.steps.base import Context, Step, Work

if TYPE_CHECKING:
    from workbench.training import Loss


class Training(Step):
    """The knobs that every step which trains has in common."""

    kinds: ClassVar[tuple[str, ...]] = ("Train",)

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
    schedule: Literal["cosine", "linear", "step", "constant"] = knob(
        "cosine",
        help="How the learning rate falls after the warm-up: along a cosine, along a line, by steps (a tenth from the "
        "half on, a hundredth from three quarters on), or not at all.",
        advanced=True,
    )
    final_rate: float = knob(
        0.0,
        ge=0.0,
        le=1.0,
        step=0.05,
        share=True,
        label="Final learning rate",
        help="Share of the learning rate that is left when the schedule ends.",
        advanced=True,
    )
    augment: Literal["none", "shift", "shift+flip", "affine"] = knob(
        "none",
        help="Random changes to training images: shifts by up to 4 pixels, mirroring; or small turns, scalings and "
        "shifts (affine), as suits digits.",
        advanced=True,
    )
    crop: int = knob(
        0,
        ge=0,
        le=1024,
        unit="pixels",
        help="Train on random crops of this size, which is faster; 0 takes whole images.",
        advanced=True,
    )
    mixup: float = knob(
        0.0,
        ge=0.0,
        le=2.0,
        step=0.1,
        help="Mix each sample and its label with another's; 0 does not, 1 draws every share alike.",
        advanced=True,
    )
    label_smoothing: float = knob(
        0.0,
        ge=0.0,
        le=0.5,
        step=0.05,
        share=True,
        help="Share of each label that is spread evenly over all classes.",
        advanced=True,
    )
    l1: float = knob(
        0.0,
        ge=0.0,
        le=0.1,
        step=1e-5,
        label="L1 penalty",
        help="Adds this times the sum of all absolute weights to the loss: many weights become nearly zero.",
        advanced=True,
    )
    l2: float = knob(
        0.0,
        ge=0.0,
        le=0.1,
        step=1e-5,
        label="L2 penalty",
        help="Adds half of this times the sum of all squared weights to the loss; weight decay, but seen by Adam too.",
        advanced=True,
    )
    average: float = knob(
        0.0,
        ge=0.0,
        le=0.9999,
        step=0.001,
        label="Weight averaging",
        help="Keep the exponential moving average of the weights, which each update lets have this share of itself; "
        "0 keeps the weights themselves.",
        advanced=True,
    )
    patience: int = knob(
        0,
        ge=0,
        le=200,
        unit="epochs",
        help="Stop when so many epochs in a row brought no better validation score; 0 never stops early.",
        advanced=True,
    )
    precision: Literal["float32", "bfloat16", "fastest"] = knob(
        "float32",
        help="Train in bfloat16 where that is safe (autocast); 'fastest' does so if it is faster here, and says so.",
        advanced=True,
    )

    def check(self, context: Context) -> None:
        from workbench.evaluation import task_of

        task_of(context.dataset).check_training(self)

    def learn(self, work: Work, context: Context, loss: "Loss | None" = None, **more: Any) -> float:
        """Train the work's module as these knobs say, under all that was laid on it.

        Parameters
        ----------
        loss, **more
            As `workbench.training.train` takes them.

        Returns
        -------
        float
            The best validation score, such as accuracy, a share.
        """
        from workbench.training import train

        laid = work.constraints.values()
        return train(
            work.module, context.dataset, self, constraints=laid, context=context, loss=loss, notes=work.notes, **more
        )


class Finetune(Training):
    """Train the model further on the labels, and keep the best epoch by its score on the validation split."""

    def apply(self, work: Work, context: Context) -> None:
        self.learn(work, context)
