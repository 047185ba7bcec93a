"""What a search came to: the front, the best under the limits, or what is nearest and what would have to give."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.search.budget import Spent
from workbench.search.goals import QUANTITIES, SCORES, Goal, hypervolume, normalized
from workbench.search.rungs import Rung

if TYPE_CHECKING:
    from workbench.study import Study
    from workbench.trial import Trial


STOPPED = "The search was stopped by the user."


@dataclass(frozen=True)
class Progress:
    """Where a search stood after a trial: seconds since it began, trials, and the hypervolume of their front."""

    seconds: float
    trials: int
    hypervolume: float


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Attributes
    ----------
    study : Study
    goal : Goal
    history : list of Progress
        Of this run.
    importance : dict of str to dict of str to float
        By objective, what share of its variance each knob accounts for.
    ended : str
        Why it ended, in a sentence.
    rungs : list of Rung
        How many recipes were trained for how long, and how many of them then for longer.
    spent : Spent or None
        How much of the budget it took.
    address : str
        URL of the database that its history is kept in.
    """

    study: "Study"
    goal: Goal
    history: list[Progress] = field(default_factory=list)
    importance: dict[str, dict[str, float]] = field(default_factory=dict)
    ended: str = ""
    rungs: list[Rung] = field(default_factory=list)
    spent: Spent | None = None
    address: str = ""

    @property
    def front(self) -> "list[Trial]":
        """Trials within the limits that no other beats on every objective; the first objective's best goes first."""
        kept = [trial for trial in self._measured() if self.goal.kept(_m(trial), self._baseline)]
        rows = [np.array(self._minimized(trial)) for trial in kept]
        best = [
            trial
            for trial, row in zip(kept, rows, strict=True)
            if not any((other <= row).all() and (other < row).any() for other in rows)
        ]
        return sorted(best, key=lambda trial: self._minimized(trial))

    @property
    def best(self) -> "Trial | None":
        """The front's best by the first objective; None where no trial keeps the limits.

        Where accuracy is first and has a limit, all that keep it are accurate enough: then it is the trial that covers
        the most by itself.
        """
        front = self.front
        if front and self.goal.objectives[0] in SCORES and set(self.goal.limits) & set(SCORES):
            return max(front, key=lambda trial: hypervolume(points(self.study, self.goal, [trial])))
        return front[0] if front else None

    @property
    def hypervolume(self) -> float:
        """Of the front, between the ideal and the baseline: see `workbench.search.goals.normalized`."""
        return volume(self.study, self.goal)

    @property
    def nearest(self) -> "list[Trial]":
        """Where no trial keeps the limits: the three that break them least; else none."""
        if not self.goal.limits or self.best is not None:
            return []
        return sorted(self._measured(), key=self._broken)[:3]

    @property
    def stopped(self) -> bool:
        """Whether the user stopped it, so that it may have more to find."""
        return self.ended == STOPPED

    @property
    def dashboard(self) -> str:
        """The command that opens its history in optuna-dashboard; "" where none was kept."""
        shown = re.sub(r"(://[^:/@]*):[^/]*@", r"\1:...@", self.address)  # a password is nobody's business
        return f"optuna-dashboard {shlex.quote(shown)}" if shown else ""

    def sentences(self) -> list[str]:
        """What was found, why it ended, what it took, and how to look into it, in plain sentences."""
        told = self.findings()
        if self.spent:
            told.append(f"It took {self.spent}.")
        if self.dashboard:
            told.append(f"Its history opens with: {self.dashboard}")
        return told

    def facts(self) -> dict[str, Any]:
        """As plain data, for whoever looks on from another process."""
        return {
            "sentences": self.findings(),
            "spent": self.spent.facts() if self.spent else None,
            "dashboard": self.dashboard,
            "stopped": self.stopped,
            "front": [trial.number for trial in self.front],
            "best": self.best.number if self.best else None,
            "history": [asdict(progress) for progress in self.history],
            "importance": self.importance,
        }

    def findings(self) -> list[str]:
        """What was found, and why it ended, in plain sentences."""
        best = self.best
        if best is not None and self.goal.limits:
            limits = " and ".join(_limit(name, limit) for name, limit in self.goal.limits.items())
            said = [f"Trial {best.number} keeps {limits}: {self._told(best)}."]
        elif self.goal.limits:
            said = ["Not reachable here, as far as this search went.", *self._loosened()]
            said += [f"Near it is trial {t.number}: {self._told(t)}." for t in self.nearest]
        else:
            said = [
                f"{len(self.front)} trials are on the front, which covers {self.hypervolume:.1%} of what is ideal: "
                "nothing lost, and all else a hundred times better."
            ]
        climbed = [
            f"{rung.recipes} for {rung.epochs} epoch{'s' if rung.epochs > 1 else ''}"
            + (f" ({rung.promoted} went on)" if rung.promoted else "")
            for rung in self.rungs
            if rung.recipes
        ]
        if climbed:
            said.append(f"Recipes trained: {', '.join(climbed)}.")
        return [*said, self.ended] if self.ended else said

    def _loosened(self) -> list[str]:
        """For each limit, by how much it alone would have to give for some trial to keep all."""
        said = []
        for name, limit in self.goal.limits.items():
            others = Goal(self.goal.objectives, {n: v for n, v in self.goal.limits.items() if n != name})
            quantity = QUANTITIES[name]
            reached = [
                value
                for trial in self._measured()
                if others.kept(_m(trial), self._baseline)
                and (value := quantity.measured(_m(trial), self._baseline)) is not None
            ]
            if reached:
                value = max(reached) if quantity.better > 0 else min(reached)
                gap = quantity.text(abs(value - limit))
                said.append(f"Loosening {quantity.title} by {gap}, to {quantity.text(value)}, would do.")
        return said or ["No single limit, loosened alone, would do."]

    def _told(self, trial: "Trial") -> str:
        names = dict.fromkeys([*self.goal.objectives, *self.goal.limits])
        values = ((name, QUANTITIES[name].measured(_m(trial), self._baseline)) for name in names)
        return ", ".join(
            f"{QUANTITIES[name].title} {QUANTITIES[name].text(value)}" for name, value in values if value is not None
        )

    def _broken(self, trial: "Trial") -> float:
        return sum(max(0.0, over) for over in self.goal.violations(_m(trial), self._baseline).values())

    def _minimized(self, trial: "Trial") -> list[float]:
        values = self.goal.values(_m(trial), self._baseline)
        assert values is not None
        return [-value * QUANTITIES[n].better for n, value in zip(self.goal.objectives, values, strict=True)]

    def _measured(self) -> "list[Trial]":
        return measured(self.study, self.goal)

    @property
    def _baseline(self):  # type: ignore[no-untyped-def]
        return _m(self.study.baseline)


def measured(study: "Study", goal: Goal) -> "list[Trial]":
    """The complete trials whose objectives are all known."""
    baseline = _m(study.baseline)
    return [t for t in study.trials if t.metrics is not None and goal.values(t.metrics, baseline) is not None]


def points(study: "Study", goal: Goal, trials: "Sequence[Trial] | None" = None) -> np.ndarray:
    """The normalized objectives of trials, shape (trials, objectives); of all measured ones, if none are given."""
    baseline = _m(study.baseline)
    rows = []
    for trial in measured(study, goal) if trials is None else trials:
        values = goal.values(_m(trial), baseline)
        if values is not None:
            rows.append(normalized(values, goal, baseline))
    return np.array(rows).reshape(-1, len(goal.objectives))


def volume(study: "Study", goal: Goal) -> float:
    """The hypervolume of all measured trials that keep the limits."""
    baseline = _m(study.baseline)
    kept = [trial for trial in measured(study, goal) if goal.kept(_m(trial), baseline)]
    return hypervolume(points(study, goal, kept))


def _limit(name: str, limit: float) -> str:
    quantity = QUANTITIES[name]
    return f"{quantity.title} {'at least' if quantity.better > 0 else 'at most'} {quantity.text(limit)}"


def _m(trial: "Trial"):  # type: ignore[no-untyped-def]
    assert trial.metrics is not None
    return trial.metrics
