"""Trials looked at closely for the report: what differs from the baseline, and why they aren't faster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.confusion import Confusion, confusion
from workbench.errors import WorkbenchError
from workbench.questions import Answer, answer

if TYPE_CHECKING:
    from workbench.study import Study
    from workbench.trial import Trial

MOST = 3  # trials, where nobody chose them
SHOWN = 12  # samples of each kind
FLIPS = {
    "classification": {"broken": "Right before, wrong now", "fixed": "Wrong before, right now",
                       "otherwise": "Wrong both times, in another way"},
    "": {"broken": "Worse than before, the most changed first", "fixed": "Better than before, the most changed first"},
}  # fmt: skip


@dataclass(frozen=True)
class Flips:
    """Samples of one kind: a few of them, and how many there are."""

    title: str
    count: int
    samples: list[dict]


@dataclass(frozen=True)
class Closeup:
    """One trial against the baseline, as texts and pictures.

    Attributes
    ----------
    number : int
    title : str
        Its recipe.
    changes, causes : Answer
        As `workbench.questions` gives them; what can't be told here is a sentence in them.
    flips : list of Flips
    confusion : Confusion or None
        Of a classifier.
    """

    number: int
    title: str
    changes: Answer
    causes: Answer
    flips: list[Flips]
    confusion: Confusion | None = None


def closeups(study: "Study", numbers: Sequence[int] | None = None) -> list[Closeup]:
    """Look closely at some trials; what was looked at before is read from the study's folder.

    Parameters
    ----------
    study : Study
    numbers : sequence of int, optional
        The trials; those of the Pareto front, three at most, if left out.
    """
    if numbers is None:
        chosen = [trial for trial in study.pareto(["score", "size_bytes"]) if len(trial.recipe)][:MOST]
    else:
        chosen = [study.trial(number) for number in numbers]
    return [_closeup(study, trial) for trial in chosen if trial.metrics and len(trial.recipe)]


def _closeup(study: "Study", trial: "Trial") -> Closeup:
    changes = _answer(study, trial, "changes")
    titles = FLIPS.get(study.dataset.task, FLIPS[""])
    flips = [
        Flips(title, changes.counts.get(kind, len(found)), found[:SHOWN])
        for kind, title in titles.items()
        if (found := changes.flips.get(kind))
    ]
    title = ", ".join(step.describe() for step in trial.recipe)
    assert trial.metrics is not None
    before = study.baseline.metrics or trial.metrics
    confused = confusion(before, trial.metrics, study.dataset.classes)
    return Closeup(trial.number, title, changes, _answer(study, trial, "why"), flips, confused)


def _answer(study: "Study", trial: "Trial", question: str) -> Answer:
    try:
        return answer(study, trial.number, question)
    except WorkbenchError as error:  # another device, or a runtime that can't tell
        return Answer([str(error)], [])
