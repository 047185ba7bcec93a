"""Samplers and the history of a search, by Optuna (the one file that imports it)."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from workbench.errors import WorkbenchError, lookup
from workbench.recipe import Recipe
from workbench.search.dimensions import Dimension
from workbench.search.goals import LEAST, QUANTITIES, SCORES, Goal
from workbench.search.importance import deciding, importance
from workbench.search.space import Space

T = TypeVar("T")
FAR = 1e9
GENERATION = "NSGAIISampler:generation"  # where NSGA-II looks for the generation of a trial
POPULATION = 12  # of a generation; a search of half an hour has few
NUMBER, BROKEN, RECIPE = "trial", "limits broken by", "recipe"
optuna.logging.set_verbosity(optuna.logging.ERROR)

SAMPLERS = {
    "tpe": lambda seed: optuna.samplers.TPESampler(
        seed=seed, multivariate=True, group=True, constraints_func=_violations
    ),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(
        population_size=POPULATION, seed=seed, constraints_func=_violations
    ),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed, constraints_func=_violations),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}


class Sampler:
    """Proposes recipes by what those before came to, and keeps the history where optuna-dashboard can open it.

    Parameters
    ----------
    storage : pathlib.Path or str
        A SQLite file, or the URL of another database.
    name : str
        Of the search in it; one that is there goes on.
    goal : Goal
    space : Space
    kind : str
        ``tpe``, ``nsga2``, ``gp`` or ``random``.
    seed : int
        Of what is drawn.

    Attributes
    ----------
    address : str
        URL of the database.
    """

    def __init__(self, storage: Path | str, name: str, goal: Goal, space: Space, kind: str = "tpe", seed: int = 0):
        self.space, self.goal, self.seed = space, goal, seed
        make = lookup(SAMPLERS, kind, "sampler")
        self._learned: set[int] = set()
        best = {1: StudyDirection.MAXIMIZE, -1: StudyDirection.MINIMIZE}
        directions = [best[QUANTITIES[name].better] for name in goal.objectives]
        self.address = address_of(storage)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is experimental in Optuna is pinned here
            self._history = _opened(
                storage,
                lambda kept: optuna.create_study(
                    storage=kept, study_name=name, directions=directions, load_if_exists=True
                ),
            )
            self._history.set_metric_names(list(goal.objectives))
            # proposals come from a copy in memory, so that those not taken leave no trace
            self._mind = optuna.create_study(directions=directions, sampler=make(seed))
        for trial in self._history.get_trials(states=(TrialState.COMPLETE,)):
            self._learn(trial)

    @property
    def known(self) -> set[int]:
        """The numbers of the study's trials that it was told of."""
        return {trial.user_attrs[NUMBER] for trial in self._history.get_trials(deepcopy=False)}

    def propose(self) -> tuple[Recipe, dict[str, Any]] | None:
        """A recipe and its parameters; None where the knobs can't be combined."""
        trial = self._mind.ask()
        try:
            return self.space.made(lambda dimension: _suggested(trial, dimension))
        except WorkbenchError:
            return None
        finally:
            self._mind.tell(trial, state=TrialState.FAIL)

    def tell(
        self,
        number: int,
        params: Mapping[str, Any],
        values: Sequence[float] | None,
        broken: Mapping[str, float],
        recipe: Recipe | None = None,
    ) -> None:
        """What a trial came to: its objectives, and by how much each limit is broken; None if it failed.

        What another search has put into the history meanwhile is only learned from.

        Parameters
        ----------
        number : int
            The trial's.
        params : mapping
        values : sequence of float or None
        broken : mapping
            At most 0 for a limit that is kept.
        recipe : Recipe, optional
            Kept with the trial as YAML, for who looks at it with another tool.
        """
        dimensions = {d.name: d for steps in self.space.steps.values() for d in steps.values()}
        found = {name: dimensions.get(name) or Dimension(name, (False, True)) for name in params}
        limits = [min(over, FAR) for over in broken.values()]  # databases know no infinity
        frozen = create_trial(
            state=TrialState.COMPLETE if values is not None else TrialState.FAIL,
            params=dict(params),
            distributions={name: _distribution(dimension) for name, dimension in found.items()},
            values=list(values) if values is not None else None,
            user_attrs={NUMBER: number, BROKEN: limits} | ({RECIPE: recipe.to_yaml()} if recipe is not None else {}),
            system_attrs={"constraints": limits},
        )
        if number not in self.known:
            self._history.add_trial(frozen)
        if values is not None and number not in self._learned:
            self._learn(frozen)

    def _learn(self, told: FrozenTrial) -> None:
        """Let proposals go by a trial."""
        self._learned.add(told.user_attrs[NUMBER])
        place = len(self._mind.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) // POPULATION
        told.system_attrs[GENERATION] = place  # as what was not asked for is in none, and has no offspring
        self._mind.add_trial(told)

    def importance(self, objective: str) -> dict[str, float]:
        """What share each knob has in what decides an objective; {} where trials are too few to tell, or too alike.

        See `workbench.search.importance`; of the knobs that can change it at all.
        """
        place = self.goal.objectives.index(objective)
        done = self._history.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        params, values = [trial.params for trial in done], np.array([trial.values[place] for trial in done], float)
        scaled = values if objective in SCORES else np.log(np.maximum(values, LEAST))
        return importance(deciding(params, objective), scaled, self.space.seed)


def check(kind: str, storage: str | None) -> None:
    """Refuse a sampler that there is not, and a database that can't be opened."""
    lookup(SAMPLERS, kind, "sampler")
    if storage:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _opened(storage, lambda kept: kept)


def address_of(storage: Path | str) -> str:
    """The URL of a file, or the one that is given."""
    return f"sqlite:///{storage}" if isinstance(storage, Path) else storage


def _opened(storage: Path | str, use: Callable[[optuna.storages.RDBStorage], T]) -> T:
    try:
        return use(optuna.storages.RDBStorage(address_of(storage)))
    except Exception as error:  # a database may refuse in any way of its own
        raise WorkbenchError(
            f"The search can't be kept in {storage}: {str(error).splitlines()[0]}",
            "Check the address and the permissions.",
        ) from error


def _violations(trial: FrozenTrial) -> Sequence[float]:
    return trial.user_attrs.get(BROKEN, ())


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.choices:
        return CategoricalDistribution(dimension.choices)
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    # steps are rounded to when a value is used, as a range needn't be a whole number of them
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _suggested(trial: optuna.Trial, dimension: Dimension) -> Any:
    if dimension.choices:
        return trial.suggest_categorical(dimension.name, dimension.choices)
    if dimension.whole:
        return trial.suggest_int(dimension.name, int(dimension.low), int(dimension.high), log=dimension.log)
    value = trial.suggest_float(dimension.name, dimension.low, dimension.high, log=dimension.log)
    return dimension.at(dimension.place(value) or 0.0)
