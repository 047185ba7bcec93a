"""How good a classifier's outputs are, beyond its top class (the one file that imports torchmetrics)."""

import numpy as np
from pydantic import BaseModel, ConfigDict

BINS = 15
TOP = 5


class Quality(BaseModel):
    """Of the outputs for one split; all but the counts are shares in [0, 1].

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

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
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
