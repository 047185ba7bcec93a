"""Anchor points: a few validation samples by which pruned channels are judged in milliseconds, without pruning them."""

import copy
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.cluster import KMeans

from workbench import lines
from workbench.prediction.prospect import COSTLY, Prospect
from workbench.pruning.structured import Structure
from workbench.sensitivity_scan import logits, swift
from workbench.steps import Prune
from workbench.threads import threads

if TYPE_CHECKING:
    from workbench.study import Study

MACS = 660e6  # for all anchors together: about ten milliseconds of one processor
MOST, FEWEST = 24, 8
ENOUGH = 16  # observations, to choose anchors by
GRANULARITIES = ("channel", "mlp")


class Anchors:
    r"""Samples that stand for all of them, each for as many as answer like it.

    What is told of a cut is the mean probability of the right class, :math:`\sum_i w_i\, p_i(y_i)`: it says more than
    how many of so few are right. Channels that a recipe would remove are not taken in by the layers that follow, which
    comes to the same as removing them (Vivek et al.: Anchor Points, 2024; Maia Polo et al.: tinyBenchmarks, 2024).

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
        self._module = swift(copy.deepcopy(study.module))
        self._path = study.path / "prediction" / "anchored.jsonl"
        self._known = {fact["cut"]: fact["confidence"] for fact in lines.read(self._path)}

    def confidence(self, prospect: Prospect, keep: bool = False) -> float | None:
        """The mean probability of the right class with the channels of a recipe gone; None where that can't be said.

        Parameters
        ----------
        prospect : Prospect
        keep : bool
            Keep it in the study, as it will be asked for again.
        """
        found = _pruning(prospect)
        if found is None:
            return None
        step, structure = found
        key = " ".join([step.importance, *(f"{name}={kept}" for (_, name), kept in sorted(prospect.cut.items()))])
        if key not in self._known:
            self._known[key] = self._tried(prospect, structure)
            if keep:
                lines.append(self._path, {"cut": key, "confidence": self._known[key]})
        return self._known[key]

    def _tried(self, prospect: Prospect, structure: Structure) -> float:
        with threads(1), ExitStack() as changed:
            for group, score in zip(structure.groups, structure.scores, strict=True):
                gone = group.units - prospect.cut["channel", group.name]
                if gone:
                    changed.enter_context(group.without(self._module, *score.argsort(stable=True)[:gone].tolist()))
            probabilities = logits(self._module, self._inputs).softmax(1)
        return float(probabilities[torch.arange(len(self._labels)), self._labels].numpy() @ self.weights)


def anchors_of(study: "Study") -> Anchors | None:
    """The study's anchors; None where none were chosen yet."""
    chosen = list(lines.read(study.path / "prediction" / "anchors.jsonl"))
    return Anchors(study, **chosen[0]) if chosen else None


def choose_anchors(study: "Study", observed: Sequence[Sequence[int]]) -> None:
    """Choose them once for each study, by what was observed of all samples; none where the model takes too long.

    Parameters
    ----------
    study : Study
    observed : sequence of sequence of int
        The probability of the right class of each sample in per mille, one row for each changed model.
    """
    path, macs = study.path / "prediction" / "anchors.jsonl", study.outline.whole_size.macs
    count = min(MOST, int(MACS / max(1, macs)))
    if path.exists() or count < FEWEST or len(observed) < ENOUGH or study.outline.structure("channel") is None:
        return
    samples, weights = clustered(np.array(observed) / 1000, count)
    lines.append(path, {"samples": samples, "weights": weights})


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


def _pruning(prospect: Prospect) -> tuple[Prune, Structure] | None:
    """The step that alone cuts channels, and what it cuts; None where the very channels aren't known beforehand."""
    cutting = [step for step in prospect.steps if isinstance(step, Prune) and step.granularity not in ("weight", "n:m")]
    if len(cutting) != 1 or prospect.fresh or not any(kind == "channel" for kind, _ in prospect.cut):
        return None
    step = cutting[0]
    if step.granularity not in GRANULARITIES or step.importance in ("random", *COSTLY) or step.scope == "latency":
        return None
    structure = prospect.outline.structure(step.granularity, step.importance)
    return None if structure is None else (step, structure)
