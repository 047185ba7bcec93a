"""Anchor points: a few validation samples by which a recipe is judged in milliseconds, without carrying it out."""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from scipy.special import expit, logit
from torch import Tensor

from workbench import lines
from workbench.disk import write
from workbench.prediction.changes import Changes
from workbench.prediction.lean import Lean
from workbench.prediction.likeness import Likeness, alike
from workbench.prediction.prospect import Prospect, follow
from workbench.recipe import Recipe
from workbench.sensitivity_scan import logits

if TYPE_CHECKING:
    from workbench.study import Study

BUDGET = 0.010  # seconds, for all anchors together; all else of a prediction takes 3 to 8 thousandths
LONGEST = 0.05  # seconds, for the fewest: they are worth more than the time that a slow machine takes
MOST, FEWEST = 256, 8
LIKENESS = "likeness.safetensors"
ENOUGH = 16  # observations, to choose anchors by
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
    """

    def __init__(
        self,
        study: "Study",
        samples: Sequence[int],
        weights: Sequence[float],
        likeness: Likeness | None = None,
    ):
        self.study, self.samples, self.weights, self._likeness = study, list(samples), np.array(weights), likeness
        split = study.dataset.validation
        self._labels = torch.from_numpy(split.labels[self.samples]).long()
        inputs = torch.from_numpy(study.dataset.prepare(split.inputs[self.samples]))
        self._lean = Lean.of(study.module, inputs)
        self._changes = Changes(self._lean.module, study.outline)
        self._whole = max(self._now(), LEAST)
        self._changing = threading.Lock()  # a page and a cell may ask at the same time
        self._path = study.path / "prediction" / "anchored-shares.jsonl"
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


def anchors_of(study: "Study") -> Anchors | None:
    """The study's anchors; None where none were chosen yet."""
    chosen = next(lines.read(study.path / "prediction" / "anchors.jsonl"), None)
    return Anchors(study, **chosen, likeness=_likeness(study, chosen["samples"])) if chosen else None


def choose_anchors(
    study: "Study",
    observed: Sequence[Sequence[int]],
    among: Sequence[int] | np.ndarray,
    recipes: Sequence[Recipe] = (),
    report: Callable[..., None] = lambda **facts: None,
) -> None:
    """Choose them once for each study, by what was observed of all samples; none where the model takes too long.

    Parameters
    ----------
    study : Study
    observed : sequence of sequence of int
        The probability of the right class of each sample in per mille, one row for each changed model.
    among : sequence of int
        Which of the validation split these samples are.
    recipes : sequence of Recipe
        By whose models it is told which samples are alike.
    report : callable
        Told of the progress, as that takes seconds; may raise `Cancelled`.
    """
    path = study.path / "prediction" / "anchors.jsonl"
    if any(lines.read(path)) or len(observed) < ENOUGH:
        return
    inputs = torch.from_numpy(study.dataset.prepare(study.dataset.validation.inputs[: 4 * FEWEST]))
    few, more = (Lean.of(study.module, inputs[:count]).seconds for count in (FEWEST, len(inputs)))
    if few > LONGEST:
        return
    each = max((more - few) / (len(inputs) - FEWEST), more / len(inputs) / 2)
    count = min(MOST, FEWEST + max(0, int((BUDGET - few) / each)))
    chosen, weights = clustered(np.array(observed) / 1000, count)
    found = alike(_answers(study, among, recipes, report))
    if found is not None:
        facts = {"likeness": torch.from_numpy(found[:, chosen]).float(), "samples": torch.tensor(np.array(among))}
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path.with_name(LIKENESS), save({name: fact.contiguous() for name, fact in facts.items()}))
    lines.append(path, {"samples": [int(among[sample]) for sample in chosen], "weights": weights})


def _likeness(study: "Study", anchors: Sequence[int]) -> Likeness | None:
    """How alike anchors and other samples are, where that was kept."""
    path = study.path / "prediction" / LIKENESS
    try:
        found = load_file(path) if path.exists() else None
    except (OSError, SafetensorError):
        return None
    if found is None or not set(anchors) <= set(samples := found["samples"].tolist()):
        return None
    places = [samples.index(sample) for sample in anchors]
    return Likeness(found["likeness"].numpy(), places, study.dataset.validation.labels[samples])


def _answers(
    study: "Study", samples: Sequence[int] | np.ndarray, recipes: Sequence[Recipe], report: Callable[..., None]
) -> Iterator[np.ndarray]:
    """Logits at samples of the models that recipes make, in any order, as far as these are known beforehand."""
    if not recipes:
        return
    inputs = torch.from_numpy(study.dataset.prepare(study.dataset.validation.inputs[samples]))
    lean = Lean.of(study.module, inputs[:FEWEST])
    changes, inputs = Changes(lean.module, study.outline), inputs.to(lean.inputs.dtype)
    for place in np.random.default_rng(0).permutation(len(recipes)):
        change = changes.of(follow(recipes[place], study.outline, study.runtime))
        if change is not None:
            report(message="Looking which samples are alike")
            with change[1]():
                yield logits(lean.module, inputs).float().numpy()


def clustered(observed: np.ndarray, count: int) -> tuple[list[int], list[float]]:
    """So many samples, the nearest to the centres of as many clusters, and what share of all each cluster has.

    Parameters
    ----------
    observed : numpy.ndarray
        Shape (models, samples).
    count : int
    """
    from sklearn.cluster import KMeans  # slow to import, and needed once for each study

    table = observed.T
    found = KMeans(min(count, len(np.unique(table, axis=0))), n_init=3, random_state=0).fit(table)
    distances = found.transform(table)
    samples = [int(distances[:, cluster].argmin()) for cluster in range(distances.shape[1])]
    shares = np.bincount(found.labels_, minlength=len(samples)) / len(table)
    return samples, [float(share) for share in shares]
