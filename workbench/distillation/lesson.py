"""One teacher, one student, and the loss between them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from workbench.distillation.base import FeatureLoss
from workbench.distillation.cache import LIMIT, logits_of
from workbench.distillation.pairs import outputs, pair_layers
from workbench.distillation.registry import FEATURES
from workbench.errors import WorkbenchError
from workbench.evaluation import task_of
from workbench.steps.base import Context, Work
from workbench.training import Batch
from workbench.training.batches import changes

if TYPE_CHECKING:
    from workbench.steps.distill import Distill


class Lesson:
    """What `workbench.training.train` needs to let a student imitate a teacher.

    The teacher is asked once about every sample, and its logits are cached on disk, unless inputs are changed at random
    or features are compared: then it runs at every update, as it must see the very inputs that the student sees (Beyer
    et al.: Knowledge distillation: A good teacher is patient and consistent, 2022, arXiv 2106.05237).
    """

    def __init__(self, teacher: nn.Module, work: Work, step: "Distill", context: Context):
        self.teacher, self.step, self.task = teacher, step, task_of(context.dataset)
        self.features: FeatureLoss | None = None
        self.cached: Tensor | None = None
        self._logits = torch.empty(0)
        self._theirs: dict[str, Tensor] = {}
        self._ours: dict[str, Tensor] = {}
        train = context.dataset.train
        if step.features != "none":
            self.features = _feature_loss(teacher, work.module, step, context)
            reason = "only its answers are cached, not what its inner layers put out"
        elif changes(step, train.inputs.ndim):
            reason = "inputs are changed at random, and it has to see the very same ones"
        elif train.labels.size * len(context.dataset.classes) * 4 > LIMIT:
            reason = "its answers are more than the cache may hold"
        else:
            context.report(message="Asking the teacher about every training sample")
            self.cached = logits_of(teacher, context.dataset, train, context.device)
            return
        work.notes.append(f"The teacher ran at every update: {reason}.")

    @contextmanager
    def given(self, student: nn.Module) -> Iterator[None]:
        """Inside, student and teacher can be listened to."""
        pairs = self.features.pairs if self.features else []
        with (
            outputs(student, [pair.student for pair in pairs]) as self._ours,
            outputs(self.teacher, [pair.teacher for pair in pairs]) as self._theirs,
        ):
            yield

    def before_update(self, batch: Batch) -> None:
        """Hear what the teacher says to a batch."""
        if self.cached is not None and batch.samples is not None:
            self._logits = self.cached[batch.samples]
            return
        with torch.no_grad():
            self._logits = self.teacher(batch.inputs)

    def loss(self, inputs: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """``alpha * imitation + (1 - alpha) * task's loss + feature_weight * features``."""
        step = self.step
        imitation = self.task.imitation(logits, self._logits, step.targets, step.temperature)
        value = step.alpha * imitation + (1 - step.alpha) * self.task.loss(logits, labels)
        return value if self.features is None else value + step.feature_weight * self.difference(self.features)

    def difference(self, features: FeatureLoss) -> Tensor:
        """How far apart the features of the latest batch are."""
        ours = [self._ours[pair.student].float() for pair in features.pairs]
        return features(ours, [self._theirs[pair.teacher] for pair in features.pairs])


def _feature_loss(teacher: nn.Module, student: nn.Module, step: "Distill", context: Context) -> FeatureLoss:
    kind = FEATURES[step.features]
    example = torch.from_numpy(context.dataset.prepare(context.dataset.train.inputs[:2])).to(context.device)
    pairs = pair_layers(student.to(context.device), teacher, example, step.pairs)
    fitting = [pair for pair in pairs if kind.fits(pair)]
    chosen = kind.choose(fitting) if step.pairs == "auto" else fitting
    if not chosen or (step.pairs != "auto" and len(fitting) < len(pairs)):
        told = next((pair for pair in pairs if pair not in fitting), pairs[0])
        raise WorkbenchError(
            f"{step.features.capitalize()} can't compare {told.student} {told.student_shape} of the student with "
            f"{told.teacher} {told.teacher_shape} of the teacher.",
            "Choose other features, or name other pairs of layers.",
        )
    torch.manual_seed(context.seed)
    return kind(chosen)
