"""The one way to train: for fine-tuning, for distillation, and for the zoo's own weights."""

from workbench.training.batches import Batch
from workbench.training.loop import AfterUpdate, BeforeUpdate, Loss, Penalty, accuracy, score, train

__all__ = ["AfterUpdate", "Batch", "BeforeUpdate", "Loss", "Penalty", "accuracy", "score", "train"]
