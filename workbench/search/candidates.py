"""Recipes that a search might carry out next: proposed, by chance, near the front, and what trained ones lead to."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.prediction import Prediction
from workbench.prefixes import done
from workbench.recipe import Recipe
from workbench.search.continuation import merged
from workbench.search.goals import SCORES, Goal, hypervolume
from workbench.search.outcome import Outcome, measured, points
from workbench.search.rungs import Params, Rungs
from workbench.search.sampler import Sampler
from workbench.search.space import Space
from workbench.steps import Half, Quantize, Step
from workbench.steps.finetune import Training
from workbench.steps.quantize import FLOATS

if TYPE_CHECKING:
    from workbench.study import Study
    from workbench.trial import Trial

FORMATS = (Quantize, Half)
PATIENCE = 2  # layers in floats, of which one must have brought something back for more of them
COUNTS = {"sampled": 12, "random": 24, "near": 48}
"""Candidates of each round: from Optuna's sampler, by chance, and near the front."""


@dataclass
class Candidate:
    """A recipe that might be carried out, with the parameters that made it, {} where the space doesn't have it."""

    recipe: Recipe
    params: Params
    prediction: Prediction | None = None
    promise: float = 0.0
    seconds: float = 0.0
    """What it would take."""


@dataclass
class Pool:
    """Where the candidates of a search come from.

    Each begins with the shortest training that the space has. Those of the best third may go on for longer, and what
    was trained in this process may end in another format, as it need not be trained again for that, see
    `workbench.prefixes`. Where integers lose more accuracy than they may, one layer after the other goes back to
    floats, the most sensitive first, as NNCF's quantization with accuracy control goes about it.
    """

    study: "Study"
    goal: Goal
    space: Space
    sampler: Sampler
    rungs: Rungs
    generator: np.random.Generator

    def drawn(self, params: Mapping[int, Params]) -> list[Candidate]:
        """Candidates, none twice.

        Parameters
        ----------
        params : mapping
            Of the trials of this search that were measured, by number.
        """
        candidates = [*self._longer(params), *self._otherwise(params), *self._restored(params)]
        for make in self._makers(params):
            with contextlib.suppress(WorkbenchError):  # knobs that can't be combined make no candidate
                if made := make():
                    candidates.append(Candidate(*self.space.at(self.rungs.at(made[1], 0))))
        unique: dict[str, Candidate] = {}
        for candidate in candidates:
            unique.setdefault(candidate.recipe.hash, candidate)
        return list(unique.values())

    def _makers(self, params: Mapping[int, Params]) -> list[Callable[[], tuple[Recipe, dict[str, Any]] | None]]:
        makers: list[Callable[[], tuple[Recipe, dict[str, Any]] | None]] = []
        makers += [lambda p=p: self.space.at(p) for p in self.space.solved()]  # type: ignore[misc]
        makers += COUNTS["sampled"] * [self.sampler.propose]
        makers += COUNTS["random"] * [lambda: self.space.random(self.generator)]
        front = [t.number for t in Outcome(self.study, self.goal).front if t.number in params]
        if front:
            near = lambda: self.space.near(params[int(self.generator.choice(front))], self.generator)  # noqa: E731
            makers += COUNTS["near"] * [near]
        return makers

    def _longer(self, params: Mapping[int, Params]) -> Iterator[Candidate]:
        """The best third of each rung, trained on."""
        recipes = {id(params[t.number]): t.recipe for t in self.study.trials if t.number in params}
        for before, after in self.rungs.promotable(self._scored(params)):
            with contextlib.suppress(WorkbenchError):
                yield Candidate(self.rungs.further(recipes[id(before)], before, after), after)

    def _otherwise(self, params: Mapping[int, Params]) -> Iterator[Candidate]:
        """What is trained already, in another format: 32-bit floats, the space's integers, or its 16-bit floats."""
        for trial in measured(self.study, self.goal):
            count = done(self.study, trial.recipe)
            steps, seed = trial.recipe.steps, trial.recipe.seed
            if not count or trial.number not in params or any(isinstance(step, Training) for step in steps[count:]):
                continue
            own = next((step.key() for step in steps if isinstance(step, FORMATS)), "")
            rest = [step for step in steps[count:] if not isinstance(step, FORMATS)]
            for name in ("", *(kind.key() for kind in FORMATS)):
                if name == own or (name and name not in self.space.steps) or (own in self.space.always):
                    continue
                with contextlib.suppress(WorkbenchError):
                    recipe = Recipe([*steps[:count], *self._alone(name), *rest], seed)
                    values = {**params[trial.number], **{kind.key(): kind.key() == name for kind in FORMATS}}
                    yield Candidate(recipe, self._inside(recipe, values))

    def _alone(self, name: str) -> list[Step]:
        """A step of the space, in the middle of its ranges; [] for none."""
        alone, _ = self.space.at({**dict.fromkeys(self.space.steps, False), name: True})
        return [step for step in alone if step.key() == name]

    def _inside(self, recipe: Recipe, values: Params) -> Params:
        """The parameters that make a recipe, if these values do; else {}."""
        made, params = self.space.at(values)
        return params if merged(made) == merged(recipe) else {}

    def _restored(self, params: Mapping[int, Params]) -> Iterator[Candidate]:
        """Where integers lose more accuracy than they may: one more layer in floats, the worst ones first.

        No more of them where the first few have brought nothing back, or where floats lose too much as well.
        """
        sensitivity = self.space.sensitivity
        if sensitivity is None:
            return
        trials = measured(self.study, self.goal)
        plain = {trial.recipe.hash for trial in trials if trial.number in params}
        lost = {trial.recipe.hash: self._lost(trial) for trial in trials}
        for trial in trials:
            step = next((step for step in trial.recipe if isinstance(step, Quantize)), None)
            if step is None or step.mode != "static" or any(bits < FLOATS for bits in step.layers.values()):
                continue
            integers = _with(trial.recipe, step.model_copy(update={"layers": {}})).hash
            floats = Recipe([s for s in trial.recipe if s is not step], trial.recipe.seed).hash
            over, count = lost[trial.recipe.hash], len(step.layers)
            in_vain = lost.get(floats, 0) > 0 or (count >= PATIENCE and over >= lost.get(integers, 0))
            if over > 0 and integers in plain and not in_vain:
                layers = sensitivity.grid("bits")[0]
                worst = sorted(layers, key=lambda n, b=step.weight_bits: sensitivity.error("bits", n, b), reverse=True)  # type: ignore[misc]
                if count + 1 < len(worst):
                    more = dict.fromkeys(worst[: count + 1], FLOATS)
                    yield Candidate(_with(trial.recipe, step.model_copy(update={"layers": more})), {})

    def _lost(self, trial: "Trial") -> float:
        """By how much a trial's score breaks its limit; 0 where it doesn't."""
        baseline = self.study.baseline.metrics
        over = self.goal.violations(trial.metrics, baseline) if trial.metrics and baseline else {}
        return max((more for name, more in over.items() if name in SCORES), default=0.0)

    def _scored(self, params: Mapping[int, Params]) -> list[tuple[Params, float]]:
        """What was measured, and how good it is: less the more trials beat it, more the more it covers alone."""
        baseline = self.study.baseline.metrics
        assert baseline is not None
        trials = [t for t in measured(self.study, self.goal) if t.number in params]
        rows = points(self.study, self.goal, trials)
        scored = []
        for trial, row in zip(trials, rows, strict=True):
            beaten = ((rows <= row).all(axis=1) & (rows < row).any(axis=1)).sum()
            over = self.goal.violations(trial.metrics, baseline).values() if trial.metrics else []
            broken = sum(max(0.0, value) for value in over)
            scored.append((params[trial.number], hypervolume(row[None]) - beaten - 1e3 * broken))
        return scored


def _with(recipe: Recipe, quantize: Quantize) -> Recipe:
    """The recipe with another quantization in the place of its own."""
    return Recipe([quantize if isinstance(step, Quantize) else step for step in recipe], recipe.seed)
