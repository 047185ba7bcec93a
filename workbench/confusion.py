"""Which classes a classifier recognizes, and which it takes for which, before and after."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.evaluation import Quality
from workbench.metrics import Metrics

MOST = 20  # classes in a table that is still to be read
RIGHT, WRONG = 35, 45  # percent of colour behind a cell at most


@dataclass(frozen=True)
class ClassChange:
    """One class: the share of its samples that each trial recognizes (recall)."""

    name: str
    samples: int
    before: float
    after: float

    def row(self) -> dict[str, str]:
        """It in texts."""
        return {
            "class": self.name,
            "samples": f"{self.samples:,}",
            "before": f"{self.before:.1%}",
            "after": f"{self.after:.1%}",
            "points": f"{100 * (self.after - self.before):+.1f}",
        }


@dataclass(frozen=True)
class Cell:
    """Samples of one class that were answered with one class.

    Attributes
    ----------
    count, before : int
    share : float
        Of the samples of the class.
    right : bool
        Whether the answer is right.
    """

    count: int
    before: int
    share: float
    right: bool

    @property
    def change(self) -> int:
        """By how many samples more."""
        return self.count - self.before

    @property
    def paint(self) -> int:
        """Percent of colour behind it: what is written there is to be read, and few mistakes are to be seen."""
        return round(RIGHT * self.share if self.right else WRONG * self.share**0.5)


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix, and the earlier one in its cells.

    Attributes
    ----------
    names : list of str
        Of the answered classes, in columns.
    rows : list of (str, list of Cell)
        Right class, and a cell for each answer; the last one holds all others, where classes are left out.
    left_out : int
        Classes without a row and a column: those with the fewest mistakes.
    """

    names: list[str]
    rows: list[tuple[str, list[Cell]]]
    left_out: int


def most_changed(changes: Sequence[ClassChange]) -> list[ClassChange]:
    """Those whose recall changed most first; of equal ones, those that lose."""
    return sorted(changes, key=lambda change: (-abs(change.after - change.before), change.after - change.before))


def recalls(before: Metrics, after: Metrics, names: Sequence[str]) -> list[ClassChange]:
    """How well each class is recognized, the most changed first; empty for what is no classifier, and was none."""
    was, now = before.quality, after.quality
    if not isinstance(was, Quality) or not isinstance(now, Quality):
        return []
    samples = now.confusion_matrix().sum(1)
    told = zip(_named(names, now), samples, was.recall, now.recall, strict=True)
    return most_changed([ClassChange(n, int(s), a, b) for n, s, a, b in told if a is not None and b is not None])


def confusion(before: Metrics, after: Metrics, names: Sequence[str], most: int = MOST) -> Confusion | None:
    """Which class is taken for which; None for what is no classifier.

    Parameters
    ----------
    before, after : Metrics
        On the same samples.
    names : sequence of str
        Of the classes.
    most : int
        As many have a row and a column: those with the most mistakes, before and after.
    """
    was, now = before.quality, after.quality
    if not isinstance(was, Quality) or not isinstance(now, Quality):
        return None
    old, new = was.confusion_matrix(), now.confusion_matrix()
    wrong = old + new
    np.fill_diagonal(wrong, 0)
    kept = np.sort(np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind="stable")[:most])
    told = _named(names, now)
    rows = [(told[i], _row(i, kept, old[i], new[i])) for i in kept if new[i].sum()]
    return Confusion([told[i] for i in kept], rows, len(told) - len(kept))


def _named(names: Sequence[str], quality: Quality) -> list[str]:
    """A name for each output; those that the dataset doesn't name have their number."""
    known = [str(name) for name in names]
    return [*known, *map(str, range(len(known), len(quality.recall)))][: len(quality.recall)]


def _row(right: int, kept: np.ndarray, old: np.ndarray, new: np.ndarray) -> list[Cell]:
    whole = new.sum()
    cells = [Cell(int(new[i]), int(old[i]), float(new[i] / whole), bool(i == right)) for i in kept]
    if len(kept) == len(new):
        return cells
    others = int(new.sum() - new[kept].sum()), int(old.sum() - old[kept].sum())
    return [*cells, Cell(*others, others[0] / whole, False)]
