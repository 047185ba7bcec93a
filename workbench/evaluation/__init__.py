"""How good a model is: one file for each kind of task."""

from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import lookup
from workbench.evaluation.base import Change, Task
from workbench.evaluation.classification import Classification, Quality, quality
from workbench.evaluation.language import Language, Prediction
from workbench.evaluation.regression import Errors, Regression

if TYPE_CHECKING:
    from workbench.data import Dataset

TASKS: dict[str, Task] = {task.name: task for task in (Classification(), Regression(), Language())}


def task_of(dataset: "Dataset") -> Task:
    """What a dataset asks of a model."""
    return lookup(TASKS, dataset.task, "task")


def likely_task(inputs: np.ndarray, labels: np.ndarray) -> str:
    """What labels ask for, where that is clear: fractions are a regression, rows of whole numbers for rows of whole
    numbers are language; all else is taken for classes."""
    if labels.ndim == 2 and labels.dtype.kind in "iu" and inputs.ndim == 2 and inputs.dtype.kind in "iu":
        return Language.name
    fractions = labels.dtype.kind == "f" and np.isfinite(labels).all() and not np.array_equal(labels, np.floor(labels))
    return Regression.name if fractions else Classification.name


__all__ = [
    "TASKS",
    "Change",
    "Classification",
    "Errors",
    "Language",
    "Prediction",
    "Quality",
    "Regression",
    "Task",
    "likely_task",
    "quality",
    "task_of",
]
