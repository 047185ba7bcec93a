"""Successive halving: train many recipes a little, and only the promising ones for longer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.recipe import Recipe
from workbench.search.continuation import goes_on
from workbench.search.dimensions import Dimension
from workbench.search.space import Space
from workbench.steps import Step
from workbench.steps.finetune import Training

Params = Mapping[str, Any]

KEEP = 3  # of so many recipes, one goes on
EPOCHS = ".epochs"


@dataclass(frozen=True)
class Rung:
    """One row of the table: so many recipes were trained for so long, and so many of them then for longer."""

    epochs: int
    recipes: int
    promoted: int


class Rungs:
    """The epochs of a space's trainings as a ladder that recipes climb (ASHA; Li et al. 2020, arXiv 1810.05934).

    Parameters
    ----------
    space : Space
    """

    def __init__(self, space: Space):
        trainings = [d for steps in space.steps.values() for d in steps.values() if d.name.endswith(EPOCHS)]
        self._levels = {d.name: levels for d in trainings if len(levels := _levels(d)) > 1}
        self.height = max((len(levels) for levels in self._levels.values()), default=1)

    def at(self, params: Params, rung: int) -> dict[str, Any]:
        """The same knobs, trained as long as on a rung, from 0 on."""
        longer = {name: self._on(name, rung) for name in self._levels if name in params}
        return {**params, **longer}

    def of(self, params: Params) -> int | None:
        """The rung that knobs are on; None where they don't train, or for other times."""
        trained = {name: params[name] for name in self._levels if name in params}
        places = (r for r in range(self.height) if trained == {name: self._on(name, r) for name in trained})
        return next(places, None) if trained else None

    def promotable(self, done: Sequence[tuple[Params, float]]) -> list[tuple[Params, Params]]:
        """What deserves to be trained for longer, and until when: of each rung the best third, the highest rung first.

        Parameters
        ----------
        done : sequence of (params, score)
            Trials that were measured; a higher score is better.
        """
        found: list[tuple[Params, Params]] = []
        for rung in reversed(range(self.height - 1)):
            here = sorted((d for d in done if self.of(d[0]) == rung), key=lambda d: d[1], reverse=True)
            above = [self._same(params) for params, _ in done if self.of(params) == rung + 1]
            best = [params for params, _ in here[: len(here) // KEEP]]
            found += [(params, self.at(params, rung + 1)) for params in best if self._same(params) not in above]
        return found

    def further(self, recipe: Recipe, before: Params, after: Params) -> Recipe:
        """The recipe with more epochs: with another training behind its own where that goes on from it, else in it.

        So most promoted recipes need not be trained from the beginning again, see `workbench.prefixes`.
        """
        more = {name.removesuffix(EPOCHS): after[name] - before[name] for name in self._levels if name in before}
        steps: list[Step] = []
        for place, step in enumerate(recipe):
            last = step.key() not in [other.key() for other in recipe.steps[place + 1 :]]
            added = more.get(step.key(), 0) if last else 0
            if added > 0 and isinstance(step, Training) and not goes_on(step):
                step = step.model_copy(update={"epochs": step.epochs + added})
            steps.append(step)
            if added > 0 and goes_on(step):
                steps.append(step.model_copy(update={"epochs": added}))
        return Recipe(steps, recipe.seed)

    def table(self, done: Sequence[Params]) -> list[Rung]:
        """How many recipes came to each rung, and how many of them went on."""
        if self.height == 1:
            return []
        by_rung = [{self._same(p) for p in done if self.of(p) == rung} for rung in range(self.height)]
        longest = max(self._levels.values(), key=len)
        return [
            Rung(longest[rung], len(here), len(here & by_rung[rung + 1]) if rung + 1 < self.height else 0)
            for rung, here in enumerate(by_rung)
        ]

    def _on(self, name: str, rung: int) -> int:
        return self._levels[name][min(rung, len(self._levels[name]) - 1)]

    def _same(self, params: Params) -> str:
        return repr(sorted((name, value) for name, value in params.items() if name not in self._levels))


def _levels(dimension: Dimension) -> list[int]:
    """Epochs from few to many: those to choose from, or each three times the one before."""
    if dimension.choices:
        return sorted(int(value) for value in dimension.choices)
    levels, most = [max(1, int(dimension.low))], int(dimension.high)
    while levels[-1] < most:
        levels.append(min(KEEP * levels[-1], most))
    return levels
