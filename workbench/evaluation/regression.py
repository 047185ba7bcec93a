"""Regression: one number or more for each input."""

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate
from workbench.evaluation.base import Change, Quality, Task, most_changed, paired_change, resampled

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.data import Dataset
    from workbench.steps.finetune import Training

NEAR = 0.01  # of the spread of what is expected: outputs that differ by less are called alike


class Errors(Quality):
    """How far off, in the unit of the labels: over all targets together.

    Attributes
    ----------
    rmse, mae : float
        Root of the mean squared error, and mean absolute error.
    bias : float
        Mean error: what is answered less what is right.
    """

    rmse: float
    mae: float
    bias: float

    def sentence(self, before: Any) -> str:
        return (
            f"Mean absolute error {self.mae:.4g} against {before.mae:.4g}; root mean squared error {self.rmse:.4g} "
            f"against {before.rmse:.4g}; bias {self.bias:.3g}."
        )


class Regression(Task):
    """Labels (N, targets) of any floats, outputs of the same shape. Judged by R², the mean over the targets.

    R² is ``1 - sum (y - z)^2 / sum (y - mean y)^2``: 1 is perfect, 0 is what the mean label answers, and it has no
    lower end. Its interval is a bootstrap over the samples; a change is tested by the sum over the targets of the
    squared errors, each relative to the variance of its labels.
    """

    name = "regression"
    title = "regression"
    score_name = "R²"
    figures = True
    measured = (
        "R²: on {samples} validation samples, with its bootstrap interval; a change is tested by permutation of the "
        "squared errors of the same samples."
    )

    def labels(self, given: np.ndarray, split: str) -> np.ndarray:
        numbers = given.ndim in (1, 2) and given.size and given.dtype.kind in "iuf" and np.isfinite(given).all()
        if not numbers:
            raise WorkbenchError(
                f"The labels of the {split} split are not numbers, one or one row of them each.",
                "Give them as an array (N,) or (N, targets), without NaN.",
            )
        return given.reshape(len(given), -1).astype(np.float32)

    def classes(self, inputs: np.ndarray, labels: np.ndarray) -> list[str]:
        count = labels.shape[1]
        return ["target"] if count == 1 else [f"target {number}" for number in range(count)]

    def check_labels(self, labels: np.ndarray, classes: list[str], split: str) -> None:
        if labels.shape[1] != len(classes):
            raise WorkbenchError(
                f"The {split} split has {labels.shape[1]} numbers as a label, but there are {len(classes)} targets.",
                "Give as many for each sample as there are names in `classes`.",
            )
        if split != "train" and (len(labels) < 2 or (labels == labels[0]).all(0).any()):
            raise WorkbenchError(
                f"The labels of the {split} split are all the same, so no R² can be told.", "Give more samples."
            )

    def check_outputs(self, shape: tuple[int, ...], dataset: "Dataset", who: str = "The model") -> None:
        if int(np.prod(shape[1:])) != len(dataset.classes) or len(shape) > 2:
            raise WorkbenchError(
                f"{who}'s output has shape {shape[1:]}, but each label is {len(dataset.classes)} numbers.",
                "Give a model with one output for each target.",
            )

    def loss(self, outputs: "Tensor", labels: "Tensor", reduction: str = "mean") -> "Tensor":
        squares = (outputs.reshape(labels.shape) - labels).square().mean(1)
        return squares.sum() if reduction == "sum" else squares.mean()

    def imitation(self, student: "Tensor", teacher: "Tensor", targets: str, temperature: float) -> "Tensor":
        return (student.reshape(teacher.shape) - teacher).square().mean()

    def check_training(self, step: "Training") -> None:
        super().check_training(step)
        if getattr(step, "targets", "soft") != "soft":
            raise WorkbenchError(
                "A regression has no answers that are surer than others, so the teacher's can only be imitated as they "
                "are.",
                "Leave targets at 'soft'.",
            )

    def told(self, outputs: "Tensor") -> "Tensor":
        return outputs.reshape(len(outputs), -1)

    def rows(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return outputs.reshape(labels.shape)

    def answers(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def value(self, answers: np.ndarray, labels: np.ndarray) -> float:
        return float(1 - (_squares(answers, labels) / labels.var(0, dtype=np.float64)).mean())

    def estimate(self, answers: np.ndarray, labels: np.ndarray) -> Estimate:
        parts = _errors(answers, labels), labels.astype(np.float64)
        return resampled(_r2, *(part[:, target] for target in range(labels.shape[1]) for part in parts))

    def quality(self, rows: np.ndarray, labels: np.ndarray) -> Errors:
        errors = _errors(rows, labels)
        return Errors(
            rmse=float(np.sqrt(np.square(errors).mean())), mae=float(np.abs(errors).mean()), bias=float(errors.mean())
        )

    def change(self, before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> Change:
        gain = self.value(after, labels) - self.value(before, labels)
        return paired_change(_relative(before, labels), _relative(after, labels), gain)

    def flips(
        self, before: np.ndarray, after: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return most_changed(_relative(before, labels), _relative(after, labels))

    def alike(self, outputs: np.ndarray, expected: np.ndarray) -> float:
        outputs, expected = (given.reshape(len(given), -1) for given in (outputs, expected))
        return float((np.abs(outputs - expected) <= NEAR * expected.std(0) + 1e-6).all(1).mean())

    def said(self, change: tuple[int, int], samples: int) -> str:
        return f"it is nearer for {change[0]} and further off for {change[1]} of {samples:,} samples"

    def label_text(self, label: np.ndarray, dataset: "Dataset") -> str:
        return ", ".join(f"{value:.4g}" for value in np.ravel(label))

    def answer_text(self, answer: np.ndarray, dataset: "Dataset") -> str:
        return self.label_text(answer, dataset)


def _errors(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return answers.reshape(labels.shape).astype(np.float64) - labels


def _squares(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The mean squared error of each target."""
    return np.square(_errors(answers, labels)).mean(0)


def _relative(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The squared error of each sample, each target's relative to its variance: (N,)."""
    return (np.square(_errors(answers, labels)) / labels.var(0, dtype=np.float64)).mean(1)


def _r2(*columns: np.ndarray) -> np.ndarray:
    """The mean R² over targets, from errors and labels of each in turn, over the last axis."""
    targets = zip(columns[::2], columns[1::2], strict=True)
    # a resample may hold one label over and over, which tells nothing
    shares = [np.square(e).mean(-1) / np.maximum(y.var(-1), 1e-30) for e, y in targets]
    return 1 - np.mean(shares, axis=0)
