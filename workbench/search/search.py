"""Search: propose many recipes, predict them all, look at a few, carry out the most promising, and learn."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from scipy import stats

from workbench.errors import Cancelled, WorkbenchError
from workbench.estimates import Estimate
from workbench.prediction import CONFIDENCE, Prediction
from workbench.prefixes import done
from workbench.recipe import Recipe
from workbench.search.budget import Budget
from workbench.search.candidates import Candidate, Pool
from workbench.search.costs import Costs
from workbench.search.dimensions import ALLOCATION
from workbench.search.goals import QUANTITIES, SCALED, SCORES, Goal, hypervolume, normalized, violation
from workbench.search.outcome import STOPPED, Outcome, Progress, measured, points, volume
from workbench.search.preparing import UNTIL, prepared
from workbench.search.reach import check_limits, quickest
from workbench.search.rungs import Params, Rungs
from workbench.search.sampler import Sampler, check
from workbench.search.space import Space
from workbench.steps import Quantize
from workbench.storage import FINISHED, lost, this_process
from workbench.tickets import running, ticket_of

if TYPE_CHECKING:
    from workbench.study import Study

LOCK = "search.lock"  # in the study's folder
DRAWS = 32  # of a prediction's figures
USED_UP = "The search ended as nothing new was left to try."
SHORT = (
    "The search ended as no further trial would have been done in the time that was left: "
    "the quickest takes {seconds:.0f} s."
)
LATE = "The time of the search was spent before this trial was done."
SKIPPED = "Cancelled by the user; the search went on without it."
UNKNOWN = 0.3  # how far a figure may be from the baseline's that nothing is known of: deviation of its logarithm;
# of a score it is `SCALED`
ROUNDS = 20  # of candidates that all turn out impossible, before the search gives up
EVERY, FINE = 3, 10.0  # every third trial, the box of the hypervolume is one point of accuracy high instead of ten
TOLD = 3  # trials, after which what matters is computed anew
LOOKS = 3  # candidates of a round that are tried without training before one is carried out


def search(
    study: "Study",
    objectives: Sequence[str] | str,
    limits: Mapping[str, float] | None,
    budget: str | int | timedelta,
    space: Mapping[str, Any] | None = None,
    sampler: str = "tpe",
    predicting: bool = True,
    seed: int = 0,
    storage: str | None = None,
    report: Callable[..., None] = lambda **facts: None,
) -> Outcome:
    """What `Study.search` does; its parameters are told there.

    Parameters
    ----------
    predicting : bool
        Whether candidates are predicted and looked at first; without, it is the sampler's own search.
    """
    study.runtime.check_export()
    spending, wished = Budget.of(budget), Goal.named(objectives, limits)
    check(sampler, storage)
    names = _layers(study) if space and any(key.endswith(".layers") for key in space) else None
    checked = Space.of(space, study.runtime, seed=seed, layers=names)
    solving = predicting and (space or {}).get(ALLOCATION) not in ("knobs", ["knobs"])
    check_limits(study, wished, checked, solving)
    report = _timed(report, spending)
    baseline = study.measured_baseline(lambda facts: report(share=0.0, message="Measuring the baseline"))
    assert baseline.metrics is not None
    goal = Goal.of(objectives, limits, baseline.metrics)
    least = quickest(study, checked) if spending.seconds else 0.0
    if spending.left < least:
        enough = least / (1 - max(UNTIL.values())) if predicting else least
        raise WorkbenchError(
            f"A trial takes about {least:.0f} s here, so {spending} are too few.",
            f"Give at least {math.ceil(enough)} s.",
        )
    try:
        known = prepared(study, spending, checked, report) if predicting else None
    except (Cancelled, KeyboardInterrupt):
        return Outcome(study, goal, ended=STOPPED, spent=spending.stopped())
    searched = Space.of(space, study.runtime, known, seed, names) if known else checked
    shared = (str(study.path), study.settings) if storage else ()  # with other studies, whose trials are numbered alike
    name = sha256(repr((goal, sorted(searched.steps.items()), sampler, *shared)).encode()).hexdigest()[:8]
    file = study.path / "search.db"
    drawing = _drawing(study, seed)
    history = Sampler(storage or file, f"{study.settings['model']}-{name}", goal, searched, sampler, drawing)
    return Search(study, goal, searched, spending, history, predicting).run(report)


def _timed(report: Callable[..., None], budget: Budget) -> Callable[..., None]:
    """Tell with each fact what of the budget is spent."""
    return lambda **facts: report(**facts, spent=budget.stopped().facts())


def _layers(study: "Study") -> dict[str, list[str]]:
    """By step, what can have a ratio or bits of its own."""
    structure = study.outline.structure("channel")
    return {"prune": [g.name for g in structure.groups] if structure else [], "quantize": study.outline.layers}


class Search:
    """One run of a search; `run` goes on until the budget is spent.

    Every round, all that `workbench.search.candidates` has are predicted; those of the largest expected hypervolume
    improvement for each second that they would take (Emmerich, Giannakoglou & Naujoks 2006, by Monte Carlo; divided by
    cost as in Snoek, Larochelle & Adams 2012), times the chance that they keep the limits, are tried without their
    trainings; and the best of them is carried out and measured. What trials cost and what they come to is learned on
    the way. Trainings are as short as the space has them, and the best third may go on to longer ones, see
    `workbench.search.rungs`. Where accuracy has no limit, every third trial is chosen as if one point was the most
    that may be lost, so that the front is fine where it is wanted.

    Parameters
    ----------
    study : Study
    goal : Goal
    space : Space
    budget : Budget
    sampler : Sampler
    predicting : bool
        Whether candidates are predicted; if not, each of the sampler's proposals is carried out.
    """

    def __init__(
        self, study: "Study", goal: Goal, space: Space, budget: Budget, sampler: Sampler, predicting: bool = True
    ):
        self.study, self.goal, self.space, self.budget, self.sampler = study, goal, space, budget, sampler
        self.predicting = predicting
        self.generator = np.random.default_rng(sampler.seed)
        metrics = study.baseline.metrics
        assert metrics is not None
        self.baseline = metrics
        self.history: list[Progress] = []
        self.short_of_time, self.quickest = False, 0.0
        self.params: dict[int, Params] = {}
        self.importance: dict[str, dict[str, float]] = {}
        self.front: list[int] = []
        self.best: int | None = None
        self.seen: set[int] = set()
        self.rungs = Rungs(space)
        self.pool = Pool(study, goal, space, sampler, self.rungs, self.generator)
        self.tried = _taken(study)

    def run(self, report: Callable[..., None]) -> Outcome:
        """Search until the budget is spent, the space is, or it is told to stop or interrupted; always an outcome."""
        ended = f"The search ended as its {self.budget} were spent."
        try:
            self._told_of_others()
            self._progress()
            while self.budget.spent < 1:
                self._told_of_others()
                chosen = self._choose(report)
                if chosen is None:
                    ended = SHORT.format(seconds=self.quickest) if self.short_of_time else USED_UP
                    break
                self._carry_out(chosen, report)
        except (Cancelled, KeyboardInterrupt):
            ended = STOPPED
        importance = {name: self.sampler.importance(name) for name in self.goal.objectives}
        rungs = self.rungs.table(list(self.params.values()))
        spent, address = self.budget.stopped(), self.sampler.address
        return Outcome(self.study, self.goal, self.history, importance, ended, rungs, spent, address)

    def _told_of_others(self) -> None:
        """What is in the study counts, whoever ran it or is at it, before this search and during it."""
        self.tried |= _taken(self.study)
        varied = {record.number: record.params for record in self.study.storage.records()}
        for trial in measured(self.study, self.goal):
            if trial.number in self.seen:
                continue
            self.seen.add(trial.number)
            params = varied[trial.number] if self.space.holds(varied[trial.number]) else self.space.params(trial.recipe)
            if params is not None:
                self.params[trial.number] = params
                self._tell(trial.number, params)

    def _choose(self, report: Callable[..., None]) -> Candidate | None:
        if not self.predicting:
            fresh = (self._proposed() for _ in range(100))
            return next((c for c in fresh if c and self._new(c) and self._runs(c)), None)
        costs = Costs.known(self.study)
        for _ in range(ROUNDS):
            drawn = [c for c in self.pool.drawn(self.params) if self._new(c) and self._runs(c)]
            self._predict(drawn, costs)
            affordable = [c for c in drawn if c.seconds <= self.budget.left]
            self.short_of_time = bool(drawn) and not affordable
            self.quickest = min((c.seconds for c in drawn), default=0.0)
            self._judge(affordable)
            best = sorted(affordable, key=lambda c: c.promise, reverse=True)[:LOOKS]
            for candidate in best:
                self._say(report, "look", f"Looking at {candidate.recipe.describe()}", candidate.recipe)
                self._look(candidate)
            self._judge(best)
            best = [c for c in best if self._new(c)]
            if best:
                return max(best, key=lambda c: c.promise)
            if self.short_of_time:
                return None
        return None

    def _look(self, candidate: Candidate) -> None:
        try:
            candidate.prediction = self.study.predict(candidate.recipe, look=True)
        except WorkbenchError:  # carried out, it would fail with the same words
            self.tried.add(candidate.recipe.hash)

    def _proposed(self) -> Candidate | None:
        proposed = self.sampler.propose()
        return Candidate(*proposed) if proposed else None

    def _new(self, candidate: Candidate) -> bool:
        return len(candidate.recipe) > 0 and candidate.recipe.hash not in self.tried

    def _runs(self, candidate: Candidate) -> bool:
        """Whether the runtime has kernels for it, and what is asked for can be measured of it."""
        steps = [step for step in candidate.recipe if isinstance(step, Quantize)]
        timed = {"latency", "speedup"} & {*self.goal.objectives, *self.goal.limits}
        try:
            self.study.check(candidate.recipe)
            possible = not timed or all(self.study.runtime.computes(step) for step in steps)
        except WorkbenchError:
            possible = False
        if not possible:
            self.tried.add(candidate.recipe.hash)
        return possible

    def _predict(self, candidates: Sequence[Candidate], costs: Costs) -> None:
        """Tell of each what it would come to, and how long it would take."""
        for candidate in candidates:
            share = 1.0
            try:
                candidate.prediction = self.study.predict(candidate.recipe)
                share = candidate.prediction.macs / max(1, self.baseline.macs)
            except WorkbenchError:  # what can't be predicted has to be tried by chance
                candidate.prediction = None
            candidate.seconds = costs.seconds(candidate.recipe, share, done(self.study, candidate.recipe))

    def _judge(self, candidates: Sequence[Candidate]) -> None:
        """Expected improvement of the front's hypervolume, within the limits, for each second of work."""
        trials = [t for t in measured(self.study, self.goal) if t.metrics and self.goal.kept(t.metrics, self.baseline)]
        scale = self._scale()
        front = scale * points(self.study, self.goal, trials)
        now, feasible = hypervolume(front), len(front) > 0
        end = stats.norm.ppf((1 + CONFIDENCE) / 2)
        # no further than the interval: what one in twenty might come to is not worth an epoch
        noise = np.clip(stats.norm.ppf((np.arange(DRAWS) + 0.5) / DRAWS), -end, end)
        for candidate in candidates:
            if candidate.prediction is None:
                candidate.promise = 0.0
                continue
            draws = scale * self._draws(candidate.prediction, noise)
            kept = self._within(candidate.prediction, noise)
            gains = [hypervolume(np.vstack([front, row])) - now for row in draws]
            improvement = float(np.mean(np.array(gains) * kept))
            likely = float(np.mean(kept))
            wanted = improvement if feasible or not self.goal.limits else likely + improvement
            candidate.promise = wanted / candidate.seconds

    def _scale(self) -> np.ndarray:
        """What each objective counts: in every third trial a point of accuracy counts as much as ten else do."""
        free = not set(self.goal.limits) & set(SCORES)
        fine = FINE if free and self.predicting and len(self.history) % EVERY == EVERY - 1 else 1.0
        return np.array([fine if name in SCORES else 1.0 for name in self.goal.objectives])

    def _draws(self, prediction: Prediction, noise: np.ndarray) -> np.ndarray:
        """Normalized objectives by what the prediction leaves open, shape (DRAWS, objectives)."""
        columns = []
        for place, name in enumerate(self.goal.objectives):
            # each figure is drawn in an order of its own, as one says nothing of the others
            order = np.random.default_rng(place).permutation(DRAWS)
            columns.append(self._drawn(name, prediction, noise)[order])
        return np.array([normalized(row, self.goal, self.baseline) for row in np.array(columns).T])

    def _within(self, prediction: Prediction, noise: np.ndarray) -> np.ndarray:
        kept = np.ones(DRAWS, bool)
        for name, limit in self.goal.limits.items():
            drawn = self._drawn(name, prediction, noise)
            kept &= np.array([not violation(name, limit, value, self.baseline) > 0 for value in drawn])
        return kept

    def _drawn(self, name: str, prediction: Prediction, noise: np.ndarray) -> np.ndarray:
        quantity = QUANTITIES[name]
        figure, own = quantity.predicted(prediction, self.baseline), quantity.measured(self.baseline, self.baseline)
        if figure is None:
            return (own or 0.0) + SCALED * noise if name in SCORES else (own or 1.0) * np.exp(UNKNOWN * noise)
        return _drawn(figure, noise)

    def _carry_out(self, candidate: Candidate, report: Callable[..., None]) -> None:
        """Carry a trial out, and learn from it; one that is cancelled alone is left aside, or that others are at."""
        self.tried.add(candidate.recipe.hash)
        late = stopped = False

        def told(facts: dict[str, Any]) -> None:
            nonlocal late, stopped
            stopped = True  # unless this goes well
            self._say(report, "trial", f"Trial: {recipe.describe()}", recipe, trial=facts, number=number)
            stopped = False
            if self.budget.left < 0:
                late = True
                raise Cancelled

        recipe, params = candidate.recipe, dict(candidate.params)
        with FileLock(self.study.path / LOCK):  # of two searches that chose the same, one looks on
            if recipe.hash in _taken(self.study):
                return
            number = self.study.storage.add(recipe.to_dict(), recipe.hash, params).number  # known, if this is killed
        trial = self.study.execute(number, told)
        if trial.state == "cancelled" and late:
            self.study.storage.explain(number, LATE)
        elif trial.state == "cancelled":
            if stopped or not self.study.storage.to_stop(number):
                raise Cancelled
            self.study.storage.explain(number, SKIPPED)
            return
        self.budget.done += 1
        self.seen.add(number)
        if candidate.params:
            self._tell(number, candidate.params)
            if trial.state == "complete":
                self.params[number] = candidate.params
        self._progress()

    def _tell(self, number: int, params: Params) -> None:
        metrics = self.study.trial(number).metrics
        values = self.goal.values(metrics, self.baseline) if metrics else None
        broken = self.goal.violations(metrics, self.baseline) if metrics else dict.fromkeys(self.goal.limits, np.inf)
        self.sampler.tell(number, params, values, broken, self.study.trial(number).recipe)

    def _progress(self) -> None:
        self.history.append(Progress(self.budget.elapsed, self.budget.done, volume(self.study, self.goal)))
        found = Outcome(self.study, self.goal)
        self.front, best = [trial.number for trial in found.front], found.best
        self.best = best.number if best else None
        if len(self.history) % TOLD == 0:
            self.importance = {name: self.sampler.importance(name) for name in self.goal.objectives}

    def _say(self, report: Callable[..., None], doing: str, message: str, recipe: Recipe, **facts: Any) -> None:
        report(
            share=min(1.0, self.budget.spent),
            message=message,
            doing=doing,
            recipe=recipe.to_dict(),
            hypervolume=self.history[-1].hypervolume,
            history=[[round(p.seconds, 1), p.hypervolume] for p in self.history],
            importance=self.importance,
            front=self.front,
            best=self.best,
            **facts,
        )


def _taken(study: "Study") -> set[str]:
    """The recipes that are not to be tried again: done, skipped, or waiting or under way in a process that lives."""
    here = (record for record in study.storage.records() if not lost(record))
    return {r.recipe_hash for r in here if r.state != "cancelled" or r.reason == SKIPPED}


def _drawing(study: "Study", seed: int) -> int:
    """The seed of what is drawn: another one where another process searches this study, so that each goes its way."""
    mine, ticket = this_process(), ticket_of(study, "search")
    at_it = [r.process for r in study.storage.records() if r.state not in FINISHED and r.process and not lost(r)]
    at_it += [tuple(ticket["process"])] if ticket and running(study, "search") else []
    return seed if all(process == mine for process in at_it) else seed + mine[0]


def _drawn(figure: float | Estimate, noise: np.ndarray) -> np.ndarray:
    """Draws of a predicted figure, as far up as down as its interval."""
    if isinstance(figure, Estimate):
        reach = np.where(noise > 0, figure.high - figure.value, figure.value - figure.low)
        return figure.value + reach / stats.norm.ppf((1 + CONFIDENCE) / 2) * noise
    return np.full(len(noise), float(figure))
