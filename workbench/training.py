"""The one training loop: for fine-tuning, for distillation, and for the zoo's own weights."""

import copy
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from ignite.engine import Engine, Events  # the loop and its events
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from workbench.constraints import Constraint
from workbench.data import Dataset, Split
from workbench.errors import WorkbenchError
from workbench.steps.base import Context
from workbench.steps.finetune import Training

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # (inputs, logits, labels) -> scalar
Penalty = Callable[[nn.Module], Tensor]
AfterUpdate = Callable[[int, int], None]
MARGIN = 4  # pixels by which "shift" moves an image at most


def train(
    module: nn.Module,
    dataset: Dataset,
    settings: Training,
    *,
    context: Context,
    constraints: Iterable[Constraint] = (),
    loss: Loss | None = None,
    penalty: Penalty | None = None,
    after_update: AfterUpdate | None = None,
    since: float = 0.0,
) -> float:
    """Train in place, and restore the best epoch by validation (the state before training counts as epoch 0).

    Parameters
    ----------
    module : torch.nn.Module
        Takes float32 inputs (N, ...) and returns logits (N, classes).
    settings : Training
        Epochs, learning rate and so on.
    context : Context
        Its seed orders the batches; `report` is told of the loss at every update and of the accuracy at every epoch.
    constraints : iterable of Constraint
        What holds throughout.
    loss : callable
        (inputs, logits, labels) -> scalar; cross-entropy with the labels if left out.
    penalty : callable
        (module) -> scalar, added to the loss.
    after_update : callable
        (updates done, all updates), called after each.
    since : float
        Share of the updates after which an epoch may be the best one, for trainings that first lead elsewhere: with 1
        the last epoch is kept, whatever it reaches.

    Returns
    -------
    float
        The best validation accuracy, a share.

    Raises
    ------
    WorkbenchError
        If the loss stops being a number.
    Cancelled
        If the user asks to stop; the module is then left as the last update made it.
    """
    loss = loss or (lambda inputs, logits, labels: F.cross_entropy(logits, labels))
    module.to(context.device)
    generator = torch.Generator().manual_seed(context.seed)
    batches = len(_starts(len(dataset.train), settings.batch_size))
    context.report(share=0.0, message="Judging the model before training")
    with ExitStack() as stack:
        for constraint in constraints:
            stack.enter_context(constraint.held(module))
        stack.enter_context(_channels_last(module))
        optimizer = _optimizer(module, settings)
        schedule = LambdaLR(optimizer, _cosine(settings, batches * settings.epochs))
        before = accuracy(module, dataset, dataset.validation, context.device)
        best: dict[str, Any] = {"accuracy": -1.0 if since else before, "state": _copy(module)}

        def update(engine: Engine, batch: tuple[Tensor, Tensor]) -> float:
            inputs, labels = (part.to(context.device) for part in batch)
            value = loss(inputs, module(inputs), labels)
            if penalty is not None:
                value = value + penalty(module)
            if not math.isfinite(value.item()):
                raise WorkbenchError(
                    f"Training diverged in epoch {engine.state.epoch}: the loss is no longer a number.",
                    f"Lower the learning rate (now {settings.learning_rate:g}).",
                )
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            if after_update is not None:
                after_update(engine.state.iteration, batches * settings.epochs)
            return value.item()

        engine = Engine(update)
        engine.logger.setLevel(logging.CRITICAL)  # it would log our own refusals as errors

        @engine.on(Events.EPOCH_STARTED)
        def learn() -> None:
            module.train()

        @engine.on(Events.ITERATION_COMPLETED)
        def stream() -> None:
            done = engine.state.iteration
            context.report(
                share=done / (batches * settings.epochs),
                epoch=done / batches,
                loss=float(engine.state.output),  # type: ignore[arg-type]
            )

        @engine.on(Events.EPOCH_COMPLETED)
        def judge() -> None:
            reached = accuracy(module, dataset, dataset.validation, context.device)
            context.report(
                share=engine.state.epoch / settings.epochs,
                epoch=float(engine.state.epoch),
                loss=float(engine.state.output),  # type: ignore[arg-type]
                accuracy=reached,
            )
            if reached > best["accuracy"] and engine.state.epoch >= since * settings.epochs:
                best.update(accuracy=reached, state=_copy(module))

        engine.run(_Batches(dataset, settings, generator), max_epochs=settings.epochs, epoch_length=batches)
        module.load_state_dict(best["state"])
    module.eval()
    return best["accuracy"]


def accuracy(module: nn.Module, dataset: Dataset, split: Split, device: str = "cpu", batch_size: int = 500) -> float:
    """The share of `split` that the module classifies rightly."""
    module.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(split), batch_size):
            inputs = torch.from_numpy(dataset.prepare(split.inputs[start : start + batch_size])).to(device)
            answers = module(inputs).argmax(1).cpu().numpy()
            right += int((answers == split.labels[start : start + batch_size]).sum())
    return right / len(split)


def distillation_loss(teacher: nn.Module, temperature: float, alpha: float, targets: str, device: str = "cpu") -> Loss:
    """The loss of `Distill`, which see."""
    teacher = copy.deepcopy(teacher).to(device).eval()  # the original stays where it is

    def loss(inputs: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            taught = teacher(inputs)
        if targets == "hard":
            imitation = F.cross_entropy(logits, taught.argmax(1))
        else:
            student, tutor = (F.log_softmax(z / temperature, dim=1) for z in (logits, taught))
            imitation = F.kl_div(student, tutor, reduction="batchmean", log_target=True) * temperature**2
        return alpha * imitation + (1 - alpha) * F.cross_entropy(logits, labels)

    return loss


class _Batches:
    """Shuffled, augmented batches: another order in each epoch, the same for the same seed."""

    def __init__(self, dataset: Dataset, settings: Training, generator: torch.Generator):
        self.dataset, self.settings, self.generator = dataset, settings, generator

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        split = self.dataset.train
        order = torch.randperm(len(split), generator=self.generator).numpy()
        for start in _starts(len(split), self.settings.batch_size):
            index = order[start : start + self.settings.batch_size]
            inputs = augment(split.inputs[index], self.settings, self.generator)
            yield torch.from_numpy(self.dataset.prepare(inputs)), torch.from_numpy(split.labels[index])


def _starts(samples: int, batch_size: int) -> range:
    """Where each batch starts; a last batch of one sample is left out, as no batch-norm can learn from it."""
    return range(0, max(1, samples - 1), batch_size)


def augment(images: np.ndarray, settings: Training, generator: torch.Generator) -> np.ndarray:
    """Images (N, C, H, W) shifted, mirrored and cropped at random, as `settings` says; anything else as it is."""
    if images.ndim != 4 or (settings.augment == "none" and not settings.crop):
        return images
    count, _, height, width = images.shape
    size = min(settings.crop or height, height), min(settings.crop or width, width)
    margin = MARGIN if settings.augment != "none" and not settings.crop else 0
    if margin:
        images = np.pad(images, [(0, 0), (0, 0), (margin, margin), (margin, margin)])
    top, left = (
        torch.randint(0, whole + 2 * margin - part + 1, (count,), generator=generator).numpy()
        for whole, part in zip((height, width), size, strict=True)
    )
    windows = np.lib.stride_tricks.sliding_window_view(images, size, axis=(2, 3))
    out = windows[np.arange(count), :, top, left]
    if settings.augment == "shift+flip":
        flip = torch.rand(count, generator=generator).numpy() < 0.5
        out[flip] = out[flip, :, :, ::-1]
    return out


def _optimizer(module: nn.Module, settings: Training) -> torch.optim.Optimizer:
    rates: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "sgd":
        return torch.optim.SGD(module.parameters(), momentum=0.9, nesterov=True, **rates)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer](module.parameters(), **rates)


def _cosine(settings: Training, total: int) -> Callable[[int], float]:
    rise = int(settings.warmup * total)

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        share = (step - rise) / max(1, total - rise)
        return settings.final_rate + (1 - settings.final_rate) * (1 + math.cos(math.pi * share)) / 2

    return factor


@contextmanager
def _channels_last(module: nn.Module) -> Iterator[None]:
    # Convolutions train about 1.3 times faster on CPUs in this layout; it is undone so that nothing else sees it.
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        yield
    finally:
        module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(module.state_dict())
