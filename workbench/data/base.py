"""A dataset: named splits of inputs and labels, checked on arrival."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError

CALIBRATION_SAMPLES = 512


@dataclass(frozen=True, eq=False)
class Split:
    """Inputs and their labels.

    Attributes
    ----------
    inputs : numpy.ndarray
        Shape (N, ...), uint8 pixels in [0, 255] or float32.
    labels : numpy.ndarray
        Shape (N,), int64, in [0, number of classes).
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
        The names of the classes; counted from the training labels if left out.
    mean, std : tuple of float, optional
        Per channel, subtracted and divided by after scaling to [0, 1].
    name : str

    Raises
    ------
    WorkbenchError
        If a split is empty, ragged, holds NaN, or has labels outside the classes.
    """

    train: Any
    validation: Any = None
    test: Any = None
    classes: list[str] = field(default_factory=list)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    name: str = "my data"
    seed: int = 0

    def __post_init__(self) -> None:
        splits = {
            k: _split(getattr(self, k), k) for k in ("train", "validation", "test") if getattr(self, k) is not None
        }
        classes = self.classes or [str(c) for c in range(int(splits["train"].labels.max(initial=0)) + 1)]
        for name, split in splits.items():
            _check(split, name, len(classes), splits["train"].inputs.shape[1:])
        if "validation" not in splits:
            count = len(splits["train"])
            if count < 2:
                raise WorkbenchError("One training sample can't be split.", "Give more, or a validation split.")
            splits["train"], splits["validation"] = hold_out(splits["train"], max(1, count // 10), self.seed)
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
        for split in (self.train, self.validation, self.test):
            if split is not None:
                digest.update(repr((split.inputs.shape, split.inputs.dtype.str)).encode())
                digest.update(np.ascontiguousarray(split.inputs).data)
                digest.update(np.ascontiguousarray(split.labels).data)
        return digest.hexdigest()

    def prepare(self, inputs: np.ndarray) -> np.ndarray:
        """Raw inputs (N, ...) as the model takes them: float32, scaled, normalized."""
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


def _split(given: Any, name: str) -> Split:
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
        given = ([np.asarray(x) for x, _ in pairs], [int(y) for _, y in pairs])
    if len(given) != 2:
        raise WorkbenchError(f"The {name} split has {len(given)} parts.", "Give exactly (inputs, labels).")
    try:
        inputs, labels = (np.asarray(part) for part in given)
        inputs = inputs if inputs.dtype == np.uint8 else inputs.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise WorkbenchError(
            f"The inputs of the {name} split differ in shape, or are not numbers.", "Make them arrays of one shape."
        ) from error
    whole = labels.ndim == 1 and labels.dtype.kind in "iuf" and np.isfinite(labels).all()
    if not whole or not np.array_equal(labels, np.floor(labels)):
        raise WorkbenchError(
            f"The labels of the {name} split are not whole numbers, one each.", "Number the classes from 0."
        )
    return Split(inputs, labels.astype(np.int64))


def _check(split: Split, name: str, classes: int, shape: tuple[int, ...]) -> None:
    inputs, labels = split.inputs, split.labels
    count = len(inputs) if inputs.ndim else 0
    if count == 0 or count != len(labels):
        raise WorkbenchError(
            f"The {name} split has {count} inputs and {len(labels)} labels.", "Give one label for each input."
        )
    if labels.min() < 0 or labels.max() >= classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise WorkbenchError(
            f"The {name} split has the label {wrong:g}, but there are {classes} classes (0 to {classes - 1}).",
            "Number the classes from 0, or list all of them in `classes`.",
        )
    if inputs.shape[1:] != shape:
        raise WorkbenchError(
            f"The {name} inputs have shape {inputs.shape[1:]}, the training inputs {shape}.", "Make them the same."
        )
    if inputs.dtype != np.uint8 and not np.isfinite(inputs).all():
        raise WorkbenchError(f"The inputs of the {name} split hold NaN or infinity.", "Remove or repair those samples.")
