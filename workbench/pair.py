"""One trial against another, from what is stored of both: no model is loaded, and nothing is timed again."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.estimates import CONFIDENCE, Estimate
from workbench.evaluation import Change, task_of
from workbench.metrics import Metrics, speed_verdict

if TYPE_CHECKING:
    from workbench.trial import Trial


@dataclass(frozen=True)
class Pair:
    """Trial `after` against trial `before`, both complete, of one study.

    Raises
    ------
    WorkbenchError
        If one of them was not measured.
    """

    before: "Trial"
    after: "Trial"

    def __post_init__(self) -> None:
        for trial in (self.before, self.after):
            if trial.metrics is None:
                raise WorkbenchError(f"Trial {trial.number} was not measured: it {trial.state}.", "Choose another.")

    @property
    def metrics(self) -> tuple[Metrics, Metrics]:
        """Those of both."""
        assert self.before.metrics is not None and self.after.metrics is not None
        return self.before.metrics, self.after.metrics

    @cached_property
    def change(self) -> Change:
        """From the answers of `before` to those of `after`, on the validation split."""
        dataset = self.after.study.dataset
        return task_of(dataset).change(self.before.answers(), self.after.answers(), dataset.validation.labels)

    @property
    def flips(self) -> tuple[int, int]:
        """How many validation samples only `after` has right, and only `before`; of no classifier, has better."""
        return self.change.fixed, self.change.broken

    @property
    def score_verdict(self) -> str:
        """``better``, ``worse`` or ``no evidence of a change``, by the task's paired test at 5 %."""
        if self.change.p_value >= 1 - CONFIDENCE:
            return "no evidence of a change"
        return "better" if self.change.gain > 0 else "worse"

    @property
    def speedup(self) -> Estimate | None:
        """How many times faster `after` is, or None where a speed is not claimed.

        Both were timed against the baseline, not against each other: the interval is as wide as both of theirs.
        """
        one = Estimate(value=1.0, low=1.0, high=1.0)
        trials = zip((self.before, self.after), self.metrics, strict=True)
        was, now = (m.speedup or (None if len(trial.recipe) else one) for trial, m in trials)
        if was is None or now is None:
            return None
        return Estimate(value=now.value / was.value, low=now.low / was.high, high=now.high / was.low)

    @property
    def verdict(self) -> str:
        """``faster``, ``slower`` or ``no measurable change``; ``not compared`` where a speed is not claimed."""
        return speed_verdict(self.speedup) if self.speedup else "not compared"
