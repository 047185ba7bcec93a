"""Recipes of every kind by chance: what probes tried one by one, put together anew."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from workbench.errors import WorkbenchError
from workbench.prediction.families import Family
from workbench.recipe import Recipe
from workbench.steps import Prune, Quantize
from workbench.steps.base import Step

RUINED = 0.1  # of what a model knows beyond chance: what is left of it where more pruning says no more
ROUNDED = 0.6  # of the recipes that prune


def mixtures(probed: Iterable[tuple[Recipe, float]], top: float, chance: float) -> Iterator[Recipe]:
    """Prunings of the kinds that were probed, by ratios that don't ruin the model, most of them rounded to few bits.

    Without end where any pruning was probed, else none; the same each time.

    Parameters
    ----------
    probed : iterable of (Recipe, float)
        What was tried, and the accuracy that it had.
    top, chance : float
        The accuracy of the whole model, and that of a guess.
    """
    alone = [(next(iter(recipe)), share) for recipe, share in probed if len(recipe) == 1]
    ruined = chance + RUINED * (top - chance)
    prunings = [(step, share) for step, share in alone if isinstance(step, Prune) and _plain(step)]
    families: dict[str, list[Family]] = defaultdict(list)
    for family in dict.fromkeys(_family(step) for step, _ in prunings):
        families[family.granularity].append(family)
    widths = [step.weight_bits for step, share in alone if isinstance(step, Quantize) and share > ruined]
    most: dict[str, float] = {}
    for step, share in prunings:
        if share <= ruined:
            most[step.granularity] = min(step.ratio, most.get(step.granularity, 1.0))
    generator = np.random.default_rng(0)
    while families:
        some = families[generator.choice(sorted(families))]
        family = some[generator.integers(len(some))]
        ratio, seed = generator.uniform(0, most.get(family.granularity, 0.9)), int(generator.integers(1000))
        bits = int(generator.choice(widths)) if widths and generator.random() < ROUNDED else 0
        try:
            steps: list[Step] = list(family.at(max(0.01, ratio)))
            steps += [Quantize(weight_bits=bits, simulate=True)] if bits else []
            yield Recipe(steps, seed)
        except WorkbenchError:  # knobs that can't be combined
            continue


def _family(step: Prune) -> Family:
    return Family(step.importance, step.granularity, step.scope, step.round_to)


def _plain(step: Prune) -> bool:
    """Whether the step is nothing but one of its family."""
    try:
        return list(_family(step).at(step.ratio)) == [step]
    except WorkbenchError:
        return False
