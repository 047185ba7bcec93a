"""Language: for each place of a sequence, which token comes next."""

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate
from workbench.evaluation.base import MOST_OUTPUTS, Change, Quality, Task, most_changed, paired_change, resampled

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.data import Dataset
    from workbench.steps.finetune import Training

IGNORED = -100  # a label that is not judged, as for padding; PyTorch's own number


class Prediction(Quality):
    """Of the next tokens.

    Attributes
    ----------
    bits : float
        Cross-entropy of a token in bits: the base-2 logarithm of the perplexity.
    top1 : float
        Share of tokens that were thought most likely.
    tokens : int
        How many were judged.
    """

    bits: float
    top1: float
    tokens: int

    def sentence(self, before: Any) -> str:
        return (
            f"{self.bits:.3f} bits a token against {before.bits:.3f}; the next token is the likeliest one for "
            f"{self.top1:.2%} of {self.tokens:,} tokens against {before.top1:.2%}."
        )


class Language(Task):
    """Labels (N, T) of token numbers in [0, vocabulary), outputs (N, T, vocabulary): logits. Judged by perplexity.

    Perplexity is ``exp`` of the mean negative log-likelihood of a token (Jelinek et al. 1977): how many equally likely
    tokens the model wavers between, so lower is better. A label of -100 is not judged. Whole sequences are resampled
    for the interval and compared for a change, as the tokens of one depend on each other. Of each sequence two figures
    are kept: the summed negative log-likelihood, and how many tokens were thought most likely.
    """

    name = "language"
    title = "language model"
    score_name = "perplexity"
    better = -1
    measured = (
        "Perplexity: on {samples} validation sequences, with its bootstrap interval; a change is tested by permutation "
        "of the log-likelihoods of the same sequences."
    )
    tokens = True

    def labels(self, given: np.ndarray, split: str) -> np.ndarray:
        whole = given.ndim == 2 and given.dtype.kind in "iuf" and np.isfinite(given).all()
        if not whole or not np.array_equal(given, np.floor(given)):
            raise WorkbenchError(
                f"The labels of the {split} split are not rows of whole numbers.",
                "Give for each sequence the number of the next token at each place, (N, T).",
            )
        labels = given.astype(np.int64)
        if len(labels) and not ((labels >= 0).any(1)).all():
            raise WorkbenchError(
                f"A sequence of the {split} split has no token to judge.", f"Remove it: all its labels are {IGNORED}."
            )
        return labels

    def classes(self, inputs: np.ndarray, labels: np.ndarray) -> list[str]:
        return [str(c) for c in range(1 + max(int(inputs.max(initial=0)), int(labels.max(initial=0))))]

    def check_labels(self, labels: np.ndarray, classes: list[str], split: str) -> None:
        wrong = labels[((labels < 0) & (labels != IGNORED)) | (labels >= len(classes))]
        if len(wrong):
            raise WorkbenchError(
                f"The {split} split has the token {wrong[0]}, but there are {len(classes)} (0 to {len(classes) - 1}).",
                f"Number the tokens from 0, list all of them in `classes`, and mark what isn't judged by {IGNORED}.",
            )

    def check_outputs(self, shape: tuple[int, ...], dataset: "Dataset", who: str = "The model") -> None:
        places = dataset.train.labels.shape[1]
        if len(shape) != 3 or shape[1] != places or shape[2] < len(dataset.classes):
            raise WorkbenchError(
                f"{who}'s output has shape {shape[1:]}, but a label is {places} tokens of {len(dataset.classes)}.",
                "Give a model with one logit for each place and token: (N, T, vocabulary).",
            )

    def batch(self, dataset: "Dataset", wanted: int) -> int:
        each = max(1, dataset.train.labels.shape[1] * len(dataset.classes))
        return max(2, min(wanted, MOST_OUTPUTS // each))

    def loss(self, outputs: "Tensor", labels: "Tensor", reduction: str = "mean") -> "Tensor":
        import torch.nn.functional as F

        losses = F.cross_entropy(outputs.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none")
        each = losses.view(labels.shape).sum(1) / (labels != IGNORED).sum(1)
        return each.sum() if reduction == "sum" else each.mean()

    def imitation(self, student: "Tensor", teacher: "Tensor", targets: str, temperature: float) -> "Tensor":
        from workbench.distillation.registry import TARGETS

        return TARGETS[targets](student.flatten(0, 1), teacher.flatten(0, 1), temperature)

    def told(self, outputs: "Tensor") -> "Tensor":
        return outputs.argmax(-1)

    def check_training(self, step: "Training") -> None:
        super().check_training(step)
        if step.mixup:
            raise WorkbenchError("Tokens can't be mixed with others.", "Leave mixup at 0.")

    def rows(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        logits, judged = outputs.astype(np.float64), labels != IGNORED
        logits -= logits.max(-1, keepdims=True)
        likely = np.take_along_axis(logits, np.maximum(labels, 0)[..., None], -1)[..., 0]
        losses = np.log(np.exp(logits).sum(-1)) - likely
        right = (outputs.argmax(-1) == labels) & judged
        return np.stack([np.where(judged, losses, 0).sum(1), right.sum(1)], axis=1)

    def answers(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def value(self, answers: np.ndarray, labels: np.ndarray) -> float:
        return float(_perplexity(answers[:, 0], _judged(labels)))

    def estimate(self, answers: np.ndarray, labels: np.ndarray) -> Estimate:
        return resampled(_perplexity, answers[:, 0], _judged(labels))

    def quality(self, rows: np.ndarray, labels: np.ndarray) -> Prediction:
        tokens = int(_judged(labels).sum())
        return Prediction(
            bits=float(rows[:, 0].sum() / tokens / np.log(2)), top1=float(rows[:, 1].sum() / tokens), tokens=tokens
        )

    def change(self, before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> Change:
        tokens = _judged(labels)
        gain = float((before[:, 0].sum() - after[:, 0].sum()) / tokens.sum())
        return paired_change(before[:, 0], after[:, 0], gain)

    def flips(
        self, before: np.ndarray, after: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        tokens = _judged(labels)
        return most_changed(before[:, 0] / tokens, after[:, 0] / tokens)

    def alike(self, outputs: np.ndarray, expected: np.ndarray) -> float:
        return float((outputs.argmax(-1) == expected.argmax(-1)).mean())

    def said(self, change: tuple[int, int], samples: int) -> str:
        return f"it is surer of {change[0]} and less sure of {change[1]} of {samples:,} sequences"

    def label_text(self, label: np.ndarray, dataset: "Dataset") -> str:
        return ""

    def answer_text(self, answer: np.ndarray, dataset: "Dataset") -> str:
        return f"{answer[0] / np.log(2):.4g} bits, {int(answer[1])} tokens foreseen"


def _judged(labels: np.ndarray) -> np.ndarray:
    """How many tokens of each sequence are judged, (N,)."""
    return (labels != IGNORED).sum(1).astype(np.float64)


def _perplexity(losses: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Of summed losses and numbers of tokens, over the last axis."""
    with np.errstate(over="ignore"):  # infinite is what it then is
        return np.exp(losses.sum(-1) / tokens.sum(-1))
