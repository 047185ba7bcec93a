"""Which samples are anchor points: chosen once for each study, as many as this machine answers in a moment."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.numpy import save

from workbench import lines
from workbench.disk import write
from workbench.prediction.anchors import ANCHORS, LIKENESS, likeness_of
from workbench.prediction.changes import Changes
from workbench.prediction.lean import Lean
from workbench.prediction.likeness import alike
from workbench.prediction.prospect import follow
from workbench.recipe import Recipe
from workbench.sensitivity_scan import logits

if TYPE_CHECKING:
    from workbench.study import Study

BUDGET = 0.008  # seconds at best, for all anchors together; often half as much again, and all else takes 2 to 7
LONGEST = 0.05  # seconds, for the fewest: they are worth more than the time that a slow machine takes
MOST, FEWEST = 256, 16
ROUNDS = 5  # that a moment is timed in: something else may just be running
ENOUGH = 16  # observations, to choose anchors by


def choose_anchors(
    study: "Study",
    observed: Sequence[Sequence[int]],
    among: Sequence[int] | np.ndarray,
    recipes: Sequence[Recipe] = (),
    report: Callable[..., None] = lambda **facts: None,
) -> None:
    """Choose them once for each study, by what was observed of all samples; none where the model takes too long.

    Then see once which samples they are like; what breaks that off leaves the anchors.

    Parameters
    ----------
    study : Study
    observed : sequence of sequence of int
        The probability of the right class of each sample in per mille, one row for each changed model.
    among : sequence of int
        Which of the validation split these samples are, in order.
    recipes : sequence of Recipe
        By whose models it is told which samples are alike.
    report : callable
        Told of the progress, as that takes seconds; may raise `Cancelled`.
    """
    folder = study.path / "prediction"
    if not any(lines.read(folder / ANCHORS)) and (chosen := _chosen(study, observed, among)) is not None:
        lines.append(folder / ANCHORS, chosen)
    first = next(lines.read(folder / ANCHORS), None)  # another process may have been first
    if first is None or likeness_of(study, first["samples"]) or not set(first["samples"]) <= set(map(int, among)):
        return
    found = alike(_answers(study, among, recipes, report))
    if found is not None:
        samples, anchors = np.array(among), np.array(first["samples"])
        likeness = np.ascontiguousarray(found[:, np.searchsorted(samples, anchors)], np.float32)
        write(folder / LIKENESS, save({"likeness": likeness, "anchors": anchors, "samples": samples}))


def _chosen(study: "Study", observed: Sequence[Sequence[int]], among: Sequence[int] | np.ndarray) -> dict | None:
    """Samples and their shares of all; None where too little was observed, or the model takes too long."""
    if len(observed) < ENOUGH:
        return None
    inputs = torch.from_numpy(study.dataset.prepare(study.dataset.validation.inputs[: 4 * FEWEST]))
    counts = FEWEST, len(inputs)
    timed = [[Lean.of(study.module, inputs[:count]).seconds for count in counts] for _ in range(ROUNDS)]
    few, more = map(min, zip(*timed, strict=True))
    if few > LONGEST:
        return None
    each = max((more - few) / max(1, len(inputs) - FEWEST), more / len(inputs) / 2)
    count = min(MOST, FEWEST + max(0, int((BUDGET - few) / each)))
    places, weights = clustered(np.array(observed) / 1000, count)
    return {"samples": [int(among[place]) for place in places], "weights": weights}


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
