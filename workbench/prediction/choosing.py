"""Anchor points are chosen once for each study, as many as this machine answers in a moment."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from workbench.prediction.anchors import ANCHORS
from workbench.prediction.changes import Changes
from workbench.prediction.clusters import best_points
from workbench.prediction.lean import Lean
from workbench.prediction.prospect import follow
from workbench.recipe import Recipe
from workbench.sensitivity_scan import logits

if TYPE_CHECKING:
    from workbench.study import Study

BUDGET = 0.011  # seconds at best, for all anchors together; often a third more, and all else takes 3 to 5
LONGEST = 0.05  # seconds, for the fewest: they are worth more than the time that a slow machine takes
MOST, FEWEST = 256, 16
ROUNDS = 5  # that a moment is timed in: something else may just be running
MODELS, LEAST = 40, 8  # whose answers anchors are chosen by: at most, and at least
PATIENCE = 4  # recipes for each, of which some can't be followed
SECONDS = 30.0  # that all of these may take


def choose_anchors(
    study: "Study",
    observed: Sequence[Sequence[int]],
    among: Sequence[int] | np.ndarray,
    recipes: Iterable[Recipe],
    report: Callable[..., None] = lambda **facts: None,
) -> None:
    """Choose them once for each study, by what models answer; none where too few are known, or the model is slow.

    Parameters
    ----------
    study : Study
    observed : sequence of sequence of int
        The probability of the right class of each sample in per mille, one row for each changed model.
    among : sequence of int
        Which of the validation split these samples are, in order.
    recipes : iterable of Recipe
        By whose models it is told which samples are alike, and which tell most; no more are taken than are needed.
    report : callable
        Told of the progress, as that takes seconds; may raise `Cancelled`.
    """
    path = study.path / "prediction" / ANCHORS
    if path.exists() or len(observed) < LEAST or not (count := _affordable(study)):
        return
    answers = list(_answers(study, among, recipes, report))
    if len(answers) < LEAST:
        return
    samples, shares = np.array(among), np.array(observed) / 1000
    labels = study.dataset.validation.labels[samples]
    report(share=1.0, message="Choosing samples that tell most")
    points = best_points(samples, shares, np.array(answers), labels, count)
    if points is not None and not path.exists():  # another process may have been first
        points.keep(path)


def _affordable(study: "Study") -> int:
    """How many this machine answers in a moment; 0 where already the fewest take too long."""
    inputs = torch.from_numpy(study.dataset.prepare(study.dataset.validation.inputs[: 4 * FEWEST]))
    counts = FEWEST, len(inputs)
    timed = [[Lean.of(study.module, inputs[:count]).seconds for count in counts] for _ in range(ROUNDS)]
    few, more = map(min, zip(*timed, strict=True))
    if few > LONGEST:
        return 0
    each = max((more - few) / max(1, len(inputs) - FEWEST), more / len(inputs) / 2)
    return min(MOST, FEWEST + max(0, int((BUDGET - few) / each)))


def _answers(
    study: "Study", samples: Sequence[int] | np.ndarray, recipes: Iterable[Recipe], report: Callable[..., None]
) -> Iterator[np.ndarray]:
    """Logits at samples of the models that recipes make, as many as there is time for.

    Only of what is known beforehand; where too few can be asked in that time, no more are.
    """
    inputs = torch.from_numpy(study.dataset.prepare(study.dataset.validation.inputs[samples]))
    lean = Lean.of(study.module, inputs[:FEWEST])
    changes, inputs = Changes(lean.module, study.outline), inputs.to(lean.inputs.dtype)
    began, asked = time.monotonic(), 0
    for recipe in itertools.islice(recipes, PATIENCE * MODELS):
        change = changes.of(follow(recipe, study.outline, study.runtime))
        if change is None:
            continue
        report(share=asked / MODELS, message="Looking which samples are alike")
        with change[1]():
            yield logits(lean.module, inputs).float().numpy()
        asked, spent = asked + 1, time.monotonic() - began
        if asked == MODELS or spent > SECONDS or spent * LEAST > SECONDS * asked:
            return
