"""Anchor points: a few validation samples by which a recipe is judged in milliseconds, without carrying it out."""

import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from scipy.special import expit, logit
from torch import Tensor

from workbench import lines
from workbench.prediction.changes import Changes
from workbench.prediction.lean import Lean
from workbench.prediction.likeness import Likeness
from workbench.prediction.prospect import Prospect

if TYPE_CHECKING:
    from workbench.study import Study

SHARES = "anchored-shares.jsonl", "alike-shares.jsonl"  # without and with what likeness tells
ANCHORS, LIKENESS = "anchors.jsonl", "likeness.safetensors"
LEAST = 1e-3  # of the unchanged model's answers taken to be right, for others to be set against


class Anchors:
    """Samples that stand for all of them, each for as many as answer like it.

    What is told of a changed model is roughly what share of them it answers right, see `nearly_right` (Vivek et al.:
    Anchor Points, 2024; Maia Polo et al.: tinyBenchmarks, 2024). How a model is changed that fast is told at
    `workbench.prediction.changes`.

    Parameters
    ----------
    study : Study
    samples : sequence of int
        Of the validation split.
    weights : sequence of float
        Their shares of all samples.
    likeness : Likeness, optional
        To other samples: half of what is told then goes by what is foreseen of those.

    Attributes
    ----------
    alike : bool
        Whether there is one.
    """

    def __init__(
        self,
        study: "Study",
        samples: Sequence[int],
        weights: Sequence[float],
        likeness: Likeness | None = None,
    ):
        self.study, self.samples, self.weights, self._likeness = study, list(samples), np.array(weights), likeness
        self.alike = likeness is not None
        split = study.dataset.validation
        self._labels = torch.from_numpy(split.labels[self.samples]).long()
        inputs = torch.from_numpy(study.dataset.prepare(split.inputs[self.samples]))
        self._lean = Lean.of(study.module, inputs)
        self._changes = Changes(self._lean.module, study.outline)
        self._whole = max(self._now(), LEAST)
        self._changing = threading.Lock()  # a page and a cell may ask at the same time
        self._path = study.path / "prediction" / SHARES[self.alike]
        self._known = {fact["change"]: fact["share"] for fact in lines.read(self._path)}

    def kept(self, prospect: Prospect, keep: bool = False) -> float | None:
        """Roughly the share answered right after a recipe without its trainings, over that of the unchanged model.

        None where it can't be said.

        Parameters
        ----------
        prospect : Prospect
        keep : bool
            Keep it in the study, as it will be asked for again.
        """
        change = self._changes.of(prospect)
        if change is None:
            return None
        key, enter = change
        with self._changing:
            if key not in self._known:
                with enter():
                    self._known[key] = self._now()
                if keep:
                    lines.append(self._path, {"change": key, "share": self._known[key]})
            return self._known[key] / self._whole

    def _now(self) -> float:
        answers = self._lean.answers()
        told = nearly_right(margins(answers, self._labels).numpy(), self.weights)
        if self._likeness is None:
            return told
        both = np.clip([told, self._likeness.share(answers.numpy())], LEAST, 1 - LEAST)
        return float(expit(logit(both).mean()))


def margins(answers: Tensor, labels: Tensor) -> Tensor:
    """How far the right class lies above the best of the others, in logits, shape (samples,); 0 where that is NaN.

    Parameters
    ----------
    answers : torch.Tensor
        Logits, shape (samples, classes).
    labels : torch.Tensor
        Integers, shape (samples,).
    """
    right = answers.float().gather(1, labels[:, None])
    others = answers.float().scatter(1, labels[:, None], -torch.inf)
    return (right - others.amax(1, keepdim=True)).squeeze(1).nan_to_num(0.0)


def nearly_right(margins: np.ndarray, weights: np.ndarray) -> float:
    r"""The share of samples answered right, of which a sample near the edge is a part.

    With n margins :math:`m_i` it is :math:`\sum_i w_i\, \sigma(m_i \sqrt{n} / s)`, where
    :math:`s^2 = \sum_i w_i m_i^2`. Of a few samples, how many are right hangs on those at the edge; the more there are,
    the sharper the edge is here (Nguyen & Sanner: Algorithms for Direct 0-1 Loss Optimization in Binary Classification,
    2013, for the smoothed step). Over 716 probes of LeNet-5, each importance told from the others, the logit of the
    accuracy was 0.31 off by 16 samples and 0.16 by 64; by the mean probability of the right class it was 0.6 off, even
    by a thousand samples.

    Parameters
    ----------
    margins, weights : numpy.ndarray
        Shape (samples,).
    """
    spread = math.sqrt(float(weights @ margins**2))
    return float(weights @ expit(margins * math.sqrt(len(margins)) / spread)) if spread else 0.5


def anchors_of(study: "Study", before: Anchors | None = None) -> Anchors | None:
    """The study's anchors, those of `before` as long as there is no more to go by; None where none were chosen yet."""
    folder = study.path / "prediction"
    if before is not None and (before.alike or not (folder / LIKENESS).exists()):
        return before
    chosen = next(lines.read(folder / ANCHORS), None)
    return Anchors(study, **chosen, likeness=likeness_of(study, chosen["samples"])) if chosen else None


def likeness_of(study: "Study", anchors: list[int]) -> Likeness | None:
    """How alike these anchors and other samples are, where that was kept."""
    path = study.path / "prediction" / LIKENESS
    try:
        found = load_file(path) if path.exists() else {}
    except (OSError, SafetensorError):
        return None
    if found.keys() != {"likeness", "anchors", "samples"} or found["anchors"].tolist() != anchors:
        return None  # of others that were chosen at the same time
    samples = found["samples"].tolist()
    places = [samples.index(sample) for sample in anchors]
    return Likeness(found["likeness"], places, study.dataset.validation.labels[samples])
