"""Anchor points: a few validation samples by which a recipe is judged in milliseconds, without carrying it out."""

import copy
import math
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn

from workbench import lines
from workbench.carry_out import processors
from workbench.layout import channels_last
from workbench.prediction.changes import Changes
from workbench.prediction.prospect import Prospect
from workbench.threads import threads

if TYPE_CHECKING:
    from workbench.study import Study

BUDGET = 0.008  # seconds, for all anchors together; as much again goes into all else of a prediction
SIDE_BY_SIDE = 4  # processors, at most, that answer them together
MOST, FEWEST = 64, 8
QUICK, SLOW = 0.002, 0.5  # seconds: with fewer, nothing is to be gained; what takes more isn't timed twice
TIMES = 5  # that a model is timed, for the best of them
TRIED = 16  # samples to time it by
ENOUGH = 16  # observations, to choose anchors by


class Anchors:
    r"""Samples that stand for all of them, each for as many as answer like it.

    What is told of a changed model is the mean probability of the right class, :math:`\sum_i w_i\, p_i(y_i)`: it says
    more than how many of so few are right (Vivek et al.: Anchor Points, 2024; Maia Polo et al.: tinyBenchmarks, 2024).
    How a model is changed that fast is told at `workbench.prediction.changes`.

    Parameters
    ----------
    study : Study
    samples : sequence of int
        Of the validation split.
    weights : sequence of float
        Their shares of all samples.
    """

    def __init__(self, study: "Study", samples: Sequence[int], weights: Sequence[float]):
        self.study, self.samples, self.weights = study, list(samples), np.array(weights)
        split = study.dataset.validation
        self._labels = torch.from_numpy(split.labels[self.samples]).long()
        self._inputs = torch.from_numpy(study.dataset.prepare(split.inputs[self.samples]))
        self._module = copy.deepcopy(study.module)
        channels_last(self._module, self._inputs)
        self._reduced = _timed(self._module, self._inputs)[1]
        self._changes = Changes(self._module)
        self._changing = threading.Lock()  # a page and a cell may ask at the same time
        self._path = study.path / "prediction" / "anchored.jsonl"
        self._known = {fact["change"]: fact["confidence"] for fact in lines.read(self._path)}

    def confidence(self, prospect: Prospect, keep: bool = False) -> float | None:
        """The mean probability of the right class after a recipe without its trainings; None where it can't be said.

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
                    lines.append(self._path, {"change": key, "confidence": self._known[key]})
            return self._known[key]

    def _now(self) -> float:
        probabilities = _answers(self._module, self._inputs, self._reduced).float().softmax(1)
        return float(probabilities[torch.arange(len(self._labels)), self._labels].numpy() @ self.weights)


def anchors_of(study: "Study") -> Anchors | None:
    """The study's anchors; None where none were chosen yet."""
    chosen = list(lines.read(study.path / "prediction" / "anchors.jsonl"))
    return Anchors(study, **chosen[0]) if chosen else None


def choose_anchors(study: "Study", observed: Sequence[Sequence[int]], among: Sequence[int] | np.ndarray) -> None:
    """Choose them once for each study, by what was observed of all samples; none where the model takes too long.

    Parameters
    ----------
    study : Study
    observed : sequence of sequence of int
        The probability of the right class of each sample in per mille, one row for each changed model.
    among : sequence of int
        Which of the validation split these samples are.
    """
    path = study.path / "prediction" / "anchors.jsonl"
    if any(lines.read(path)) or len(observed) < ENOUGH:
        return
    module = copy.deepcopy(study.module)
    inputs = torch.from_numpy(study.dataset.prepare(study.dataset.validation.inputs[:TRIED]))
    channels_last(module, inputs)
    count = min(MOST, int(len(inputs) * BUDGET / _timed(module, inputs)[0]))
    if count < FEWEST:
        return
    samples, weights = clustered(np.array(observed) / 1000, count)
    lines.append(path, {"samples": [int(among[sample]) for sample in samples], "weights": weights})


def _answers(module: nn.Module, inputs: Tensor, reduced: bool) -> Tensor:
    """What a module answers, with products of 16-bit floats where reduced (Kalamkar et al.: BFLOAT16, 2019)."""
    beside = threads(min(SIDE_BY_SIDE, processors()))
    with beside, torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=reduced):
        answers: Tensor = module.eval()(inputs)
    return answers


def _timed(module: nn.Module, inputs: Tensor) -> tuple[float, bool]:
    """How many seconds these samples take at best, and whether with 16-bit floats: not every processor has them."""
    full = _best(module, inputs, reduced=False)
    if full < QUICK:
        return full, False
    try:
        short = _best(module, inputs, reduced=True)
    except RuntimeError:  # it mixes its floats with some that it makes itself
        return full, False
    return min(full, short), short < full


def _best(module: nn.Module, inputs: Tensor, reduced: bool) -> float:
    best = math.inf
    for _ in range(TIMES):
        begun = time.perf_counter()
        _answers(module, inputs, reduced)
        best = min(best, time.perf_counter() - begun)
        if best > SLOW:
            break
    return best


def clustered(observed: np.ndarray, count: int) -> tuple[list[int], list[float]]:
    """So many samples, the nearest to the centres of as many clusters, and what share of all each cluster has.

    Parameters
    ----------
    observed : numpy.ndarray
        Shape (models, samples).
    count : int
    """
    table = observed.T
    found = KMeans(min(count, len(np.unique(table, axis=0))), n_init=3, random_state=0).fit(table)
    distances = found.transform(table)
    samples = [int(distances[:, cluster].argmin()) for cluster in range(distances.shape[1])]
    shares = np.bincount(found.labels_, minlength=len(samples)) / len(table)
    return samples, [float(share) for share in shares]
