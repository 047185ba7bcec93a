"""Shuffled batches of training samples, changed at random where that is asked for."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.data import Dataset
from workbench.evaluation import task_of
from workbench.steps.finetune import Training
from workbench.training.augmentation import augment


class Batch(NamedTuple):
    """What one update learns from.

    Attributes
    ----------
    inputs : Tensor
        Prepared, (N, ...).
    labels : Tensor
        As the dataset has them; with label smoothing or mixup the probabilities of classes, (N, classes).
    samples : Tensor or None
        Which samples of the training split these are, exactly as they are there; None if they were changed at random.
    """

    inputs: Tensor
    labels: Tensor
    samples: Tensor | None


class Batches:
    """Another order in each epoch, the same for the same seed. A last batch of one sample is left out, as no
    batch-norm can learn from it."""

    def __init__(self, dataset: Dataset, settings: Training, seed: int):
        self.dataset, self.settings = dataset, settings
        self._generator = torch.Generator().manual_seed(seed)
        self._mixing = np.random.default_rng(seed)
        self._starts = range(0, max(1, len(dataset.train) - 1), settings.batch_size)

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Batch]:
        order = torch.randperm(len(self.dataset.train), generator=self._generator).numpy()
        for start in self._starts:
            yield self._batch(order[start : start + self.settings.batch_size])

    def example(self) -> Tensor:
        """The first inputs of the training split, as many as an update learns from."""
        return torch.from_numpy(self.dataset.prepare(self.dataset.train.inputs[: self.settings.batch_size]))

    def _batch(self, index: np.ndarray) -> Batch:
        split, settings = self.dataset.train, self.settings
        images = augment(split.inputs[index], settings, self._generator)
        inputs, labels = torch.from_numpy(self.dataset.prepare(images)), torch.from_numpy(split.labels[index])
        if settings.label_smoothing or settings.mixup:
            labels = task_of(self.dataset).soft_labels(labels, self.dataset, settings.label_smoothing)
        if settings.mixup:
            inputs, labels = mix(inputs, labels, settings.mixup, self._mixing)
        return Batch(inputs, labels, None if changes(settings, split.inputs.ndim) else torch.from_numpy(index))


def changes(settings: Training, dimensions: int) -> bool:
    """Whether inputs of so many dimensions, the batch's included, are changed at random in training."""
    return settings.mixup > 0 or (dimensions == 4 and (settings.augment != "none" or settings.crop > 0))


def smooth(labels: Tensor, classes: int, smoothing: float) -> Tensor:
    """Probabilities (N, classes): ``1 - smoothing + smoothing / classes`` for the label's own class, and
    ``smoothing / classes`` for any other (Szegedy et al. 2016, arXiv 1512.00567)."""
    return F.one_hot(labels, classes).float() * (1 - smoothing) + smoothing / classes


def mix(inputs: Tensor, labels: Tensor, alpha: float, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Each sample and its label's probabilities mixed with another's: ``share * one + (1 - share) * other``, with
    ``share ~ Beta(alpha, alpha)``, one for the whole batch (Zhang et al.: mixup, 2018, arXiv 1710.09412)."""
    share = float(chance.beta(alpha, alpha))
    other = torch.from_numpy(chance.permutation(len(inputs)))
    return share * inputs + (1 - share) * inputs[other], share * labels + (1 - share) * labels[other]
