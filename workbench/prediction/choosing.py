"""Which samples are anchor points: chosen once for each study, as many as this machine answers in a moment."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save

from workbench import lines
from workbench.disk import write
from workbench.prediction.anchors import ANCHORS, LIKENESS
from workbench.prediction.changes import Changes
from workbench.prediction.lean import Lean
from workbench.prediction.likeness import alike
from workbench.prediction.prospect import follow
from workbench.recipe import Recipe
from workbench.sensitivity_scan import logits

if TYPE_CHECKING:
    from workbench.study import Study

BUDGET = 0.010  # seconds, for all anchors together; all else of a prediction takes 3 to 8 thousandths
LONGEST = 0.05  # seconds, for the fewest: they are worth more than the time that a slow machine takes
MOST, FEWEST = 256, 8
ENOUGH = 16  # observations, to choose anchors by


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
    path = study.path / "prediction" / ANCHORS
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
