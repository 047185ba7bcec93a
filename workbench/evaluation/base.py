"""What a task is: which labels it takes, what is learned from them, and how answers are judged."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import stats

from workbench.errors import WorkbenchError
from workbench.estimates import CONFIDENCE, Estimate, Score

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.data import Dataset
    from workbench.steps.finetune import Training

RESAMPLES = 1_000
PERMUTATIONS = 1_999
MOST_OUTPUTS = 2**24  # figures that a model gives in one call of ours


class Quality(BaseModel, ABC):
    """How good outputs are for one split, beyond the score."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    @abstractmethod
    def sentence(self, before: Any) -> str:
        """Against that of the baseline."""


@dataclass(frozen=True)
class Change:
    """The answers to the same inputs, before and after.

    Attributes
    ----------
    fixed, broken : int
        How many samples are answered better, and how many worse; of a classifier: rightly, and wrongly.
    gain : float
        By how much the score became better; negative if it became worse.
    p_value : float
        Of a paired test of "neither is better".
    """

    fixed: int
    broken: int
    gain: float
    p_value: float


class Task(ABC):
    """One kind of question that a model answers.

    Of each sample's outputs a row is kept, and of each row an answer: rows are what judging needs, answers what is
    stored of a trial and compared with another's.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    score_name: ClassVar[str]
    unit: ClassVar[str] = ""
    better: ClassVar[int] = 1
    measured: ClassVar[str]
    """How the score, its interval and a change are found: a sentence with the number of samples."""
    tokens: ClassVar[bool] = False
    """Whether inputs are whole numbers that stand for themselves, rather than floats or pixels."""
    figures: ClassVar[bool] = False
    """Whether answers are figures, rather than one of several classes."""

    # What a dataset may hold.

    @abstractmethod
    def labels(self, given: np.ndarray, split: str) -> np.ndarray:
        """Labels as they were handed over, checked and in the form that this task works with."""

    @abstractmethod
    def classes(self, inputs: np.ndarray, labels: np.ndarray) -> list[str]:
        """The names of what an output stands for, where none were given."""

    @abstractmethod
    def check_labels(self, labels: np.ndarray, classes: list[str], split: str) -> None:
        """Refuse labels that these classes don't know."""

    # What a model must give.

    @abstractmethod
    def check_outputs(self, shape: tuple[int, ...], dataset: "Dataset", who: str = "The model") -> None:
        """Refuse outputs of this shape, the batch included."""

    def batch(self, dataset: "Dataset", wanted: int) -> int:
        """How many inputs may be put to a model at once."""
        return wanted

    # What is learned.

    @abstractmethod
    def loss(self, outputs: "Tensor", labels: "Tensor", reduction: str = "mean") -> "Tensor":
        """What training makes small; ``mean`` or ``sum`` over the batch."""

    @abstractmethod
    def imitation(self, student: "Tensor", teacher: "Tensor", targets: str, temperature: float) -> "Tensor":
        """What a student makes small to answer like its teacher, the mean of a batch; `targets` as in `Distill`."""

    @abstractmethod
    def told(self, outputs: "Tensor") -> "Tensor":
        """Outputs as labels for others."""

    def check_training(self, step: "Training") -> None:
        """Refuse knobs of a training that have no meaning here."""
        if step.label_smoothing:
            raise _only("Label smoothing", "label_smoothing")

    def soft_labels(self, labels: "Tensor", dataset: "Dataset", smoothing: float) -> "Tensor":
        """Labels that can be smoothed, and mixed with others."""
        return labels

    # How answers are judged.

    @abstractmethod
    def rows(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """What to keep of a batch's outputs, one row for each sample."""

    @abstractmethod
    def answers(self, rows: np.ndarray) -> np.ndarray:
        """What is stored of a trial, one for each sample."""

    @abstractmethod
    def value(self, answers: np.ndarray, labels: np.ndarray) -> float:
        """The score."""

    @abstractmethod
    def estimate(self, answers: np.ndarray, labels: np.ndarray) -> Estimate:
        """The score with its interval."""

    @abstractmethod
    def quality(self, rows: np.ndarray, labels: np.ndarray) -> Any:
        """Beyond the score: a `Quality`."""

    @abstractmethod
    def change(self, before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> Change:
        """From the one's answers to the other's, tested on the same samples."""

    @abstractmethod
    def flips(
        self, before: np.ndarray, after: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Indices of the samples that are answered better, worse, and otherwise but no better."""

    @abstractmethod
    def alike(self, outputs: np.ndarray, expected: np.ndarray) -> float:
        """The share of samples for which both models say the same."""

    def score(self, answers: np.ndarray, labels: np.ndarray) -> Score:
        """The score with its interval, its name, and which way is better."""
        found = self.estimate(answers, labels)
        return Score(**dict(found), name=self.score_name, unit=self.unit, better=self.better)

    def as_score(self, value: float) -> Score:
        """A score without an interval."""
        return Score(value=value, low=value, high=value, name=self.score_name, unit=self.unit, better=self.better)

    # What people read.

    @abstractmethod
    def said(self, change: tuple[int, int], samples: int) -> str:
        """How many samples are answered better, and how many worse: a clause."""

    @abstractmethod
    def label_text(self, label: np.ndarray, dataset: "Dataset") -> str:
        """A label for people; "" where it is too long to tell."""

    @abstractmethod
    def answer_text(self, answer: np.ndarray, dataset: "Dataset") -> str:
        """An answer for people."""


def resampled(statistic: Callable[..., np.ndarray], *columns: np.ndarray) -> Estimate:
    """A statistic of samples with its percentile bootstrap interval (Efron and Tibshirani 1993, section 13.3).

    Parameters
    ----------
    statistic : callable
        Of `columns`, each of shape (..., N): over the last axis.
    *columns : numpy.ndarray
        Shape (N,) each; what belongs to one sample is drawn together.
    """
    if len(columns[0]) < 2:
        raise WorkbenchError("One sample has no spread, so its score has no interval.", "Give more.")
    found = stats.bootstrap(
        columns,
        lambda *parts, axis: statistic(*parts),
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, MOST_OUTPUTS // len(columns[0])),
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    value = float(statistic(*columns))
    # with a handful of samples a percentile may leave the value itself out
    return Estimate(value=value, low=min(float(found.low), value), high=max(float(found.high), value))


def paired_change(before: np.ndarray, after: np.ndarray, gain: float) -> Change:
    """From errors to errors (N,) of the same samples, tested by the signs of their differences changing at random.

    This is the paired permutation test of the mean difference (Fisher 1935), with 1,999 permutations.
    """
    differences = after.astype(np.float64) - before
    if not differences.any():
        return Change(0, 0, 0.0, 1.0)
    test = stats.permutation_test(
        (differences,),
        lambda d, axis: d.mean(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        batch=max(1, MOST_OUTPUTS // len(differences)),
        rng=np.random.default_rng(0),
    )
    return Change(int((differences < 0).sum()), int((differences > 0).sum()), gain, float(test.pvalue))


def most_changed(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the samples whose error (N,) shrank, and of those whose error grew, the most changed ones first."""
    differences = after.astype(np.float64) - before
    order = np.argsort(differences, kind="stable")
    return order[differences[order] < 0], order[::-1][differences[order[::-1]] > 0], np.empty(0, np.int64)


def _only(what: str, knob: str) -> WorkbenchError:
    return WorkbenchError(f"{what} is made for classifiers.", f"Leave {knob} at 0.")
