"""Classification: one label of several for each input (the one file that imports torchmetrics)."""

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate, share_of
from workbench.evaluation.base import Change, Task
from workbench.evaluation.base import Quality as AnyQuality

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.data import Dataset
    from workbench.steps.finetune import Training

BINS = 15
TOP = 5


class Quality(AnyQuality):
    """Of a classifier's outputs; all but the counts are shares in [0, 1].

    Attributes
    ----------
    top5 : float or None
        How often the right class is among the five highest; None with fewer than six classes.
    macro_f1 : float
        Harmonic mean of precision and recall, averaged over the classes.
    recall : list of float or None
        For each class, the share of its samples that are recognized; None where there are no samples.
    calibration_error : float
        Mean distance of the stated probability from the share that is right, over 15 bins (Guo et al. 2017).
    confusion : list of (int, int, int)
        Right class, answered class, and how many samples: only what occurred.
    """

    top5: float | None
    macro_f1: float
    recall: list[float | None]
    calibration_error: float
    confusion: list[tuple[int, int, int]]

    def confusion_matrix(self) -> np.ndarray:
        """Samples by right class (rows) and answered class (columns), shape (classes, classes)."""
        matrix = np.zeros((len(self.recall), len(self.recall)), np.int64)
        for right, answered, count in self.confusion:
            matrix[right, answered] = count
        return matrix

    def sentence(self, before: Any) -> str:
        name = "Macro F1"
        if self.top5 is not None:
            name = f"The right class is among the top {TOP} for {self.top5:.2%} against {before.top5:.2%}; macro F1"
        return (
            f"{name} {self.macro_f1:.2%} against {before.macro_f1:.2%}; calibration error "
            f"{self.calibration_error:.2%} against {before.calibration_error:.2%}."
        )


class Classification(Task):
    """Labels (N,) in [0, classes), outputs (N, classes): logits. Judged by the share whose top class is right.

    Its interval is Wilson's (1927), a change is tested by McNemar's exact test (1947).
    """

    name = "classification"
    title = "classifier"
    score_name = "accuracy"
    unit = "share"
    measured = (
        "Accuracy: on {samples} validation samples, with its Wilson interval; a change is tested by McNemar's exact "
        "test on the same samples."
    )

    def labels(self, given: np.ndarray, split: str) -> np.ndarray:
        whole = given.ndim == 1 and given.dtype.kind in "iuf" and np.isfinite(given).all()
        if not whole or not np.array_equal(given, np.floor(given)):
            raise WorkbenchError(
                f"The labels of the {split} split are not whole numbers, one each.",
                "Number the classes from 0, or declare another task, such as task='regression'.",
            )
        return given.astype(np.int64)

    def classes(self, inputs: np.ndarray, labels: np.ndarray) -> list[str]:
        return [str(c) for c in range(int(labels.max(initial=0)) + 1)]

    def check_labels(self, labels: np.ndarray, classes: list[str], split: str) -> None:
        if labels.min() < 0 or labels.max() >= len(classes):
            wrong = labels[(labels < 0) | (labels >= len(classes))][0]
            raise WorkbenchError(
                f"The {split} split has the label {wrong:g}, but there are {len(classes)} classes "
                f"(0 to {len(classes) - 1}).",
                "Number the classes from 0, or list all of them in `classes`.",
            )

    def check_outputs(self, shape: tuple[int, ...], dataset: "Dataset", who: str = "The model") -> None:
        if len(shape) != 2 or shape[1] < len(dataset.classes):
            raise WorkbenchError(
                f"{who}'s output has shape {shape[1:]}, but the dataset has {len(dataset.classes)} classes.",
                "Give a classifier with one output for each class.",
            )

    def loss(self, outputs: "Tensor", labels: "Tensor", reduction: str = "mean") -> "Tensor":
        import torch.nn.functional as F

        return F.cross_entropy(outputs, labels, reduction=reduction)

    def imitation(self, student: "Tensor", teacher: "Tensor", targets: str, temperature: float) -> "Tensor":
        from workbench.distillation.registry import TARGETS

        return TARGETS[targets](student, teacher, temperature)

    def told(self, outputs: "Tensor") -> "Tensor":
        return outputs.argmax(1)

    def check_training(self, step: "Training") -> None:
        """Every knob has a meaning here."""

    def soft_labels(self, labels: "Tensor", dataset: "Dataset", smoothing: float) -> "Tensor":
        from workbench.training.batches import smooth

        return smooth(labels, len(dataset.classes), smoothing)

    def rows(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return outputs

    def answers(self, rows: np.ndarray) -> np.ndarray:
        return rows.argmax(1)

    def value(self, answers: np.ndarray, labels: np.ndarray) -> float:
        return int((answers == labels).sum()) / len(labels)

    def estimate(self, answers: np.ndarray, labels: np.ndarray) -> Estimate:
        return share_of(int((answers == labels).sum()), len(labels))

    def quality(self, rows: np.ndarray, labels: np.ndarray) -> Quality:
        return quality(rows, labels)

    def change(self, before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> Change:
        was, now = before == labels, after == labels
        fixed, broken = int((~was & now).sum()), int((was & ~now).sum())
        p_value = float(stats.binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0
        return Change(fixed, broken, (fixed - broken) / len(labels), p_value)

    def flips(
        self, before: np.ndarray, after: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        was, now = before == labels, after == labels
        found = (~was & now, was & ~now, ~was & ~now & (before != after))
        return np.flatnonzero(found[0]), np.flatnonzero(found[1]), np.flatnonzero(found[2])

    def alike(self, outputs: np.ndarray, expected: np.ndarray) -> float:
        return float((outputs.argmax(1) == expected.argmax(1)).mean())

    def said(self, change: tuple[int, int], samples: int) -> str:
        return f"it fixes {change[0]} and breaks {change[1]} of {samples:,} samples"

    def label_text(self, label: np.ndarray, dataset: "Dataset") -> str:
        return str(dataset.classes[int(label)])

    def answer_text(self, answer: np.ndarray, dataset: "Dataset") -> str:
        return str(dataset.classes[int(answer)])


def quality(logits: np.ndarray, labels: np.ndarray) -> Quality:
    """The quality of a classifier's outputs.

    Parameters
    ----------
    logits : numpy.ndarray
        Shape (N, classes), before any softmax.
    labels : numpy.ndarray
        Shape (N,), int64.
    """
    import torch
    from torchmetrics.functional import classification as of

    outputs, right = torch.from_numpy(logits).float(), torch.from_numpy(labels)
    classes = outputs.shape[1]
    top5 = (
        of.multiclass_accuracy(outputs, right, top_k=TOP, average="micro", num_classes=classes)
        if classes > TOP
        else None
    )
    recall = of.multiclass_recall(outputs, right, average=None, num_classes=classes)
    present = right.bincount(minlength=classes)
    confusion = of.multiclass_confusion_matrix(outputs, right, num_classes=classes)
    cells = confusion.nonzero()
    return Quality(
        top5=None if top5 is None else float(top5),
        macro_f1=min(1.0, float(of.multiclass_f1_score(outputs, right, average="macro", num_classes=classes))),
        recall=[float(share) if count else None for share, count in zip(recall, present, strict=True)],
        calibration_error=float(
            of.multiclass_calibration_error(outputs.softmax(1), right, n_bins=BINS, num_classes=classes)
        ),
        confusion=[(int(i), int(j), int(confusion[i, j])) for i, j in cells],
    )
