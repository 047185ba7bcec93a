"""The one training loop (the one file that imports Ignite)."""

import copy
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events  # the loop and its events
from ignite.handlers import EarlyStopping, EMAHandler
from torch import Tensor, nn

from workbench.constraints import Constraint
from workbench.data import Dataset, Split
from workbench.errors import WorkbenchError
from workbench.estimates import Score
from workbench.evaluation import task_of
from workbench.layout import channels_last
from workbench.memory import enough_memory
from workbench.runtimes import RUNTIMES
from workbench.steps.base import Context
from workbench.steps.finetune import Training
from workbench.training.batches import Batch, Batches
from workbench.training.optimizers import norms, optimizer_of, schedule_of
from workbench.training.precision import decide

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # (inputs, outputs, labels) -> scalar
Penalty = Callable[[nn.Module], Tensor]
BeforeUpdate = Callable[[Batch], None]
AfterUpdate = Callable[[int, int], None]


def train(
    module: nn.Module,
    dataset: Dataset,
    settings: Training,
    *,
    context: Context,
    constraints: Iterable[Constraint] = (),
    loss: Loss | None = None,
    penalty: Penalty | None = None,
    before_update: BeforeUpdate | None = None,
    after_update: AfterUpdate | None = None,
    since: float = 0.0,
    companion: nn.Module | None = None,
    notes: list[str] | None = None,
) -> float:
    """Train in place, and restore the best epoch by validation (the state before training counts as epoch 0).

    Parameters
    ----------
    module : torch.nn.Module
        Takes prepared inputs (N, ...) and returns what the dataset's task asks for, such as logits (N, classes).
    settings : Training
        Epochs, learning rate and so on.
    context : Context
        Its seed orders the batches; `report` is told of the loss at every update and of the score at every epoch.
    constraints : iterable of Constraint
        What holds throughout.
    loss : callable
        (inputs, outputs, labels) -> scalar; the task's own if left out. With label smoothing or mixup the labels of a
        classifier are probabilities (N, classes), which `torch.nn.functional.cross_entropy` takes as well.
    penalty : callable
        (module) -> scalar, added to the loss.
    before_update : callable
        (`Batch`), called before the module sees it.
    after_update : callable
        (updates done, all updates), called after each.
    since : float
        Share of the updates after which an epoch may be the best one, for trainings that first lead elsewhere: with 1
        the last epoch is kept, whatever it reaches.
    companion : torch.nn.Module
        What the loss learns along with the module: trained, and no part of the model.
    notes : list of str
        Given the sentences that the user should read.

    Returns
    -------
    float
        The best validation score, such as accuracy, a share.

    Raises
    ------
    WorkbenchError
        If the loss or a weight stops being a number; the module is then as in its best epoch.
    Cancelled
        If the user asks to stop; the module is then left as the last update made it.
    """
    _check_device(context.device)
    context.report(share=0.0, message="Judging the model before training")
    with ExitStack() as stack:
        doing, size = f"training with batches of {settings.batch_size} samples", settings.batch_size
        stack.enter_context(enough_memory(doing, f"Use a smaller batch_size, now {size}, or another device."))
        module.to(context.device)
        for constraint in constraints:
            stack.enter_context(constraint.held(module))
        example = torch.from_numpy(dataset.prepare(dataset.train.inputs[:1])).to(context.device)
        stack.enter_context(_channels_last(module, example))
        loop = _Loop(module, dataset, settings, context, companion, since, [] if notes is None else notes)
        loop.loss, loop.penalty = loss or loop.loss, penalty or loop.penalty
        loop.before_update, loop.after_update = before_update or loop.before_update, after_update or loop.after_update
        loop.run()
    module.eval()
    return loop.best.value


def _check_device(device: str) -> None:
    if device != "cpu" and device not in (runtime := RUNTIMES["torch"]).devices_here():
        lacking, remedy = runtime.lacks(device)
        raise WorkbenchError(
            f"Training can't use the device '{device}' here: {lacking}.",
            f"Make a study with device='cpu', or {remedy}.",
        )


class _Loop:
    """One training, under way."""

    def __init__(
        self,
        module: nn.Module,
        dataset: Dataset,
        settings: Training,
        context: Context,
        companion: nn.Module | None,
        since: float,
        notes: list[str],
    ):
        self.module, self.dataset, self.settings, self.context = module, dataset, settings, context
        self.since, self.notes = since, notes
        self.batches = Batches(dataset, settings, context.seed)
        self.updates = len(self.batches) * settings.epochs
        learned = [*module.parameters(), *(companion.to(context.device).parameters() if companion else ())]
        self.optimizer = optimizer_of(learned, settings)
        self.schedule = schedule_of(self.optimizer, settings, self.updates)
        self.task = task_of(dataset)
        self.loss: Loss = lambda inputs, outputs, labels: self.task.loss(outputs, labels)
        self.reached = self.best = self._score(module)
        self.state, self.chosen, self.epoch = _copy(module), not since, 0
        self.precision = decide(settings.precision, module, self.batches.example(), context.device)
        notes.extend([self.precision.sentence] if self.precision.sentence else [])

    penalty: Penalty = staticmethod(lambda module: torch.zeros(()))
    before_update: BeforeUpdate = staticmethod(lambda batch: None)
    after_update: AfterUpdate = staticmethod(lambda done, updates: None)

    def run(self) -> None:
        """Train, and leave the best state in the module."""
        engine, settings = Engine(self.update), self.settings
        engine.logger.setLevel(logging.CRITICAL)  # it would log our own refusals as errors
        self.judged = self.module
        if settings.average:
            averaging = EMAHandler(self.module, momentum=1 - settings.average, handle_buffers="copy")
            averaging.attach(engine)
            self.judged = averaging.ema_model
        engine.add_event_handler(Events.EPOCH_STARTED, lambda engine: self.module.train())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.stream)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.judge)
        if settings.patience:
            stopping = EarlyStopping(settings.patience, lambda engine: self.reached.utility, engine)
            stopping.logger.setLevel(logging.CRITICAL)  # the notes tell
            engine.add_event_handler(
                Events.EPOCH_COMPLETED(event_filter=lambda engine, epoch: self.counts(epoch)), stopping
            )
        engine.run(self.batches, max_epochs=settings.epochs, epoch_length=len(self.batches))
        if engine.state.epoch < settings.epochs:
            self.notes.append(
                f"Stopped early, after epoch {engine.state.epoch} of {settings.epochs}: {settings.patience} "
                f"epoch{'s' if settings.patience > 1 else ''} in a row brought no better {self.task.score_name}."
            )
            self.context.report(share=1.0, message=self.notes[-1])
        if not self.epoch:
            self.notes.append(
                f"No epoch of this training brought a better {self.task.score_name} on the validation split than "
                f"{self.best.text()}, which was reached before it: the model stays as it was."
            )
        self.module.load_state_dict(self.state)

    def update(self, engine: Engine, batch: Batch) -> float:
        """Learn from one batch."""
        device, settings = self.context.device, self.settings
        batch = Batch(*(None if part is None else part.to(device) for part in batch))  # type: ignore[arg-type]
        self.before_update(batch)
        with self.precision.computing(device):
            outputs = self.module(batch.inputs).float()
        value = self.loss(batch.inputs, outputs, batch.labels) + self.penalty(self.module)
        if settings.l1 or settings.l2:
            value = value + norms(self.module, settings.l1, settings.l2)
        if not math.isfinite(value.item()):
            raise self.diverged(engine, "the loss")
        self.optimizer.zero_grad()
        value.backward()
        self.optimizer.step()
        self.schedule.step()
        self.after_update(engine.state.iteration, self.updates)
        return value.item()

    def stream(self, engine: Engine) -> None:
        """Tell of an update."""
        done = engine.state.iteration
        self.context.report(share=done / self.updates, epoch=done / len(self.batches), loss=engine.state.output)

    def judge(self, engine: Engine) -> None:
        """Take the score after an epoch, and keep the state if none was better."""
        epoch = engine.state.epoch
        if not all(tensor.isfinite().all() for tensor in self.module.state_dict().values()):
            raise self.diverged(engine, "a weight")
        self.reached = self._score(self.judged)
        found = self.reached
        told = {"accuracy": found.value} if found.name == "accuracy" else {"score": str(found), "reached": found.value}
        self.context.report(share=epoch / self.settings.epochs, epoch=float(epoch), loss=engine.state.output, **told)
        if self.counts(epoch) and (not self.chosen or self.reached.utility > self.best.utility):
            self.best, self.state, self.chosen, self.epoch = self.reached, _copy(self.judged), True, epoch

    def counts(self, epoch: int) -> bool:
        """Whether this epoch may be the best."""
        return epoch >= self.since * self.settings.epochs

    def diverged(self, engine: Engine, what: str) -> WorkbenchError:
        """The refusal to go on; the module is as in its best epoch again."""
        self.module.load_state_dict(self.state)
        place = f", step {self.context.place} of the recipe," if self.context.place else ""
        return WorkbenchError(
            f"{type(self.settings).__name__}{place} diverged in epoch {engine.state.epoch}: {what} is no longer a "
            f"number at update {engine.state.iteration} of {self.updates}.",
            f"Lower the learning rate (now {self.settings.learning_rate:g}).",
        )

    def _score(self, module: nn.Module) -> Score:
        return self.task.as_score(score(module, self.dataset, self.dataset.validation, self.context.device))


def score(module: nn.Module, dataset: Dataset, split: Split, device: str = "cpu", batch_size: int = 500) -> float:
    """How good the module is on `split`, by the measure of the dataset's task; raises as `Task.check_outputs` does."""
    module.eval()
    task = task_of(dataset)
    step, kept = task.batch(dataset, batch_size), []
    with torch.inference_mode():
        for start in range(0, len(split), step):
            part = slice(start, start + step)
            outputs = module(torch.from_numpy(dataset.prepare(split.inputs[part])).to(device)).float().cpu().numpy()
            task.check_outputs(outputs.shape, dataset)
            kept.append(task.rows(outputs, split.labels[part]))
    return task.value(task.answers(np.concatenate(kept)), split.labels)


accuracy = score  # of a classifier


@contextmanager
def _channels_last(module: nn.Module, example: torch.Tensor) -> Iterator[None]:
    # Convolutions train about 1.3 times faster on CPUs in this layout; it is undone so that nothing else sees it.
    if any(_unsafe_in_channels_last(layer) for layer in module.modules()) or not channels_last(module, example):
        yield
        return
    try:
        yield
    finally:
        module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _unsafe_in_channels_last(layer: nn.Module) -> bool:
    """Whether torch 2.13's backward pass writes past its memory there: 1x1, strided, of fewer than 8 channels."""
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and layer.stride != (1, 1)
        and layer.weight.shape[1] < 8
    )


def _copy(module: nn.Module) -> dict[str, Any]:
    return copy.deepcopy(module.state_dict())
