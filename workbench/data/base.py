"""A dataset: named splits of inputs and labels, checked on arrival."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError, lookup
from workbench.evaluation import TASKS, Task, likely_task

CALIBRATION_SAMPLES = 512


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs and their labels.

    Attributes
    ----------
    inputs : numpy.ndarray
        Shape (N, ...), uint8 pixels in [0, 255] or float32; of language (N, T), int64 tokens.
    labels : numpy.ndarray
        Classes (N,), int64; of a regression (N, targets), float32; of language (N, T), int64 tokens.
    """

    inputs: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray) -> "Split":
        return Split(self.inputs[index], self.labels[index])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Named splits. Tuning looks at `validation`; `test` is opened by `Study.test` alone, and counted.

    Parameters
    ----------
    train, validation, test : Split, (inputs, labels) or a torch Dataset of (input, label)
        Images as (N, channels, height, width); uint8 is scaled to [0, 1]. Without `validation`, a tenth of `train`
        is held out, the same for the same seed.
    classes : list of str, optional
        The names of the classes, of a regression's targets, or of the tokens; counted from the training split if left
        out.
    mean, std : tuple of float, optional
        Per channel, subtracted and divided by after scaling to [0, 1].
    name : str
    task : str
        What is asked: ``classification`` (labels (N,) are classes), ``regression`` (labels (N,) or (N, targets) are
        numbers), or ``language`` (inputs and labels (N, T) are tokens). Told from the labels where it is left out and
        they make it clear: fractions are a regression, rows of whole numbers for rows of whole numbers language.

    Raises
    ------
    WorkbenchError
        If a split is empty, ragged, holds NaN, or has labels that the task does not allow.
    """

    train: Any
    validation: Any = None
    test: Any = None
    classes: list[str] = field(default_factory=list)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    name: str = "my data"
    seed: int = 0
    task: str = ""

    def __post_init__(self) -> None:
        given = {
            k: _arrays(getattr(self, k), k) for k in ("train", "validation", "test") if getattr(self, k) is not None
        }
        object.__setattr__(self, "task", self.task or likely_task(*given["train"]))
        task = lookup(TASKS, self.task, "task")
        splits = {name: _split(*parts, name, task) for name, parts in given.items()}
        train = splits["train"]
        classes = self.classes or (task.classes(train.inputs, train.labels) if len(train) else [])
        for name, split in splits.items():
            _check(split, name, list(classes), train.inputs.shape[1:], task)
        if "validation" not in splits:
            count = len(splits["train"])
            if count < 2:
                raise WorkbenchError("One training sample can't be split.", "Give more, or a validation split.")
            splits["train"], splits["validation"] = hold_out(splits["train"], max(1, count // 10), self.seed)
            task.check_labels(splits["validation"].labels, list(classes), "validation")
        for name, split in splits.items():
            object.__setattr__(self, name, split)
        object.__setattr__(self, "classes", list(classes))

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one input, without the batch."""
        return tuple(self.train.inputs.shape[1:])

    @cached_property
    def calibration(self) -> Split:
        """Up to 512 training samples, drawn once by the seed, for calibration and for importance."""
        order = np.random.default_rng(self.seed).permutation(len(self.train))
        return self.train.take(order[:CALIBRATION_SAMPLES])

    @cached_property
    def hash(self) -> str:
        """SHA-256 over every split and the scaling: two datasets with one hash are the same."""
        digest = hashlib.sha256(repr((self.mean, self.std, self.classes)).encode())
        if self.task != "classification":
            digest.update(self.task.encode())
        for split in (self.train, self.validation, self.test):
            if split is not None:
                digest.update(repr((split.inputs.shape, split.inputs.dtype.str)).encode())
                digest.update(np.ascontiguousarray(split.inputs).data)
                digest.update(np.ascontiguousarray(split.labels).data)
        return digest.hexdigest()

    def prepare(self, inputs: np.ndarray) -> np.ndarray:
        """Raw inputs (N, ...) as the model takes them: float32, scaled, normalized; tokens as they are."""
        if TASKS[self.task].tokens:
            return inputs
        x = inputs.astype(np.float32)
        if inputs.dtype == np.uint8:
            x /= 255.0
        if self.mean is not None and self.std is not None:
            shape = (1, -1) + (1,) * (x.ndim - 2)
            x -= np.asarray(self.mean, np.float32).reshape(shape)
            x /= np.asarray(self.std, np.float32).reshape(shape)
        return x

    def padded(self, size: int) -> "Dataset":
        """The same images, padded with zeros on all sides to size x size pixels."""

        def pad(split: Split | None) -> Split | None:
            if split is None:
                return None
            height, width = split.inputs.shape[-2:]
            top, left = (size - height) // 2, (size - width) // 2
            margins = [(0, 0), (0, 0), (top, size - height - top), (left, size - width - left)]
            return Split(np.pad(split.inputs, margins), split.labels)

        return replace(self, train=pad(self.train), validation=pad(self.validation), test=pad(self.test))


def hold_out(split: Split, count: int, seed: int) -> tuple[Split, Split]:
    """Split off `count` samples, drawn by the seed: (what remains, what was held out)."""
    order = np.random.default_rng(seed).permutation(len(split))
    return split.take(np.sort(order[count:])), split.take(np.sort(order[:count]))


def _arrays(given: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of a split that was handed over, in whatever numbers they came."""
    if isinstance(given, Split):
        given = given.inputs, given.labels
    elif hasattr(given, "tensors"):
        given = given.tensors
    elif not isinstance(given, (tuple, list)):
        try:
            pairs = [given[i] for i in range(len(given))]
        except TypeError as error:
            raise WorkbenchError(
                f"The {name} split is a {type(given).__name__}.",
                "Give (inputs, labels) or a torch Dataset with a length.",
            ) from error
        given = ([np.asarray(x) for x, _ in pairs], [np.asarray(y) for _, y in pairs])
    if len(given) != 2:
        raise WorkbenchError(f"The {name} split has {len(given)} parts.", "Give exactly (inputs, labels).")
    try:
        inputs, labels = (np.asarray(part) for part in given)
    except (TypeError, ValueError) as error:
        raise _ragged(name) from error
    return inputs, labels


def _split(inputs: np.ndarray, labels: np.ndarray, name: str, task: Task) -> Split:
    """The same, in the numbers that the task works with."""
    try:
        if task.tokens and inputs.dtype.kind in "iu":
            inputs = inputs.astype(np.int64)
        elif inputs.dtype != np.uint8:
            inputs = inputs.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise _ragged(name) from error
    return Split(inputs, task.labels(labels, name))


def _ragged(name: str) -> WorkbenchError:
    return WorkbenchError(
        f"The inputs of the {name} split differ in shape, or are not numbers.", "Make them arrays of one shape."
    )


def _check(split: Split, name: str, classes: list[str], shape: tuple[int, ...], task: Task) -> None:
    inputs, labels = split.inputs, split.labels
    count = len(inputs) if inputs.ndim else 0
    if count == 0 or count != len(labels):
        raise WorkbenchError(
            f"The {name} split has {count} inputs and {len(labels)} labels.", "Give one label for each input."
        )
    task.check_labels(labels, classes, name)
    if inputs.shape[1:] != shape:
        raise WorkbenchError(
            f"The {name} inputs have shape {inputs.shape[1:]}, the training inputs {shape}.", "Make them the same."
        )
    if task.tokens and (inputs.dtype != np.int64 or inputs.min() < 0 or inputs.max() >= len(classes)):
        raise WorkbenchError(
            f"The inputs of the {name} split are not all tokens from 0 to {len(classes) - 1}.",
            "Give whole numbers, and list all tokens in `classes`.",
        )
    if inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
        raise WorkbenchError(f"The inputs of the {name} split hold NaN or infinity.", "Remove or repair those samples.")
