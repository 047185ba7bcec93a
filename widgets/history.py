"""The history of a study: each trial under the one whose recipe it was made from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as w
import traitlets

from widgets.points import METHODS, method
from widgets.texts import text
from widgets.words import recipe_words
from workbench import Study, Trial
from workbench.metrics import bytes_text
from workbench.storage import Label

LEFT_OUT = Label()
Guard = Callable[[Callable[[], Any]], None]


class Tree(anywidget.AnyWidget):
    """The rows on the screen; `chosen` is the number of the one that was picked, -1 for none."""

    _esm = Path(__file__).with_name("history.js")
    rows: Any = traitlets.List().tag(sync=True)
    chosen = traitlets.Int(-1).tag(sync=True)
    name = traitlets.Unicode("").tag(sync=True)


class TrialHistory(w.VBox):
    """Every finished trial as a tree, to choose, star, name, annotate and delete; `selected` is the chosen one.

    Parameters
    ----------
    study : Study, optional
    guard : callable, optional
        Runs each action, and tells what goes wrong; by default it is simply run.
    """

    selected = traitlets.Int(allow_none=True, default_value=None, help="The number of the chosen trial.")

    def __init__(self, study: Study | None = None, guard: Guard = lambda action: action()):
        self._study, self._guard = study, guard
        self._deleted: list[int] = []
        self.tree = Tree(name=text("history.trials"))
        self.star = self._button("star", "☆", lambda: self._label(star=not self._said().star))
        self.delete = self._button("delete", "✕", self._delete)
        self.restore = self._button("restore", "⟲", self._restore)
        self.name = self._field("name", w.Text)
        self.note = self._field("note", w.Text)
        super().__init__(
            [
                self.tree,
                w.HBox([self.star, self.name, self.note, self.delete, self.restore]).add_class("wb-labels"),
            ]
        )
        self.add_class("wb-tree")
        self.tree.observe(self._picked, "chosen")
        self.observe(lambda _: self._fill(), "selected")
        if study is not None:
            self.show(study)
        self._fill()

    def show(self, study: Study) -> None:
        """List a study as it is now."""
        self._study = study
        trials, labels = [t for t in study.trials if t.finished], study.labels
        rows = [_row(trial, labels.get(trial.number, LEFT_OUT), level) for trial, level in _tree(trials, labels)]
        if rows != self.tree.rows:
            self.tree.rows = rows
        self._fill()

    def mark(self, number: int | None) -> None:
        """Choose a trial, or none."""
        self.selected = number
        self.tree.chosen = -1 if number is None else number

    def _picked(self, change: dict) -> None:
        if change["new"] >= 0:
            self.selected = change["new"]

    def _said(self) -> Label:
        if self._study is None or self.selected is None:
            return LEFT_OUT
        return self._study.labels.get(self.selected, LEFT_OUT)

    def _label(self, **changes: Any) -> None:
        if self._study is not None and self.selected is not None:
            self._study.label(self.selected, **changes)
            self.show(self._study)

    def _delete(self) -> None:
        number = self.selected
        if number is not None:
            self._label(deleted=True)
            self._deleted.append(number)
            self.mark(None)

    def _restore(self) -> None:
        if self._deleted and self._study is not None:
            number = self._deleted.pop()
            self._study.label(number, deleted=False)
            self.show(self._study)
            self.mark(number)

    def _fill(self) -> None:
        said, chosen = self._said(), self.selected is not None
        self._filling = True
        self.name.value, self.note.value = said.name, said.note
        self._filling = False
        self.star.description = "★" if said.star else "☆"
        for part in (self.star, self.name, self.note):
            part.disabled = not chosen
        self.delete.disabled = not chosen or self.selected == 0
        self.restore.disabled = not self._deleted

    def _button(self, key: str, sign: str, action: Callable[[], None]) -> w.Button:
        button = w.Button(description=sign, tooltip=text(f"history.{key}"), layout=w.Layout(width="34px"))
        button.on_click(lambda _: self._guard(action))
        return button

    def _field(self, key: str, kind: type) -> w.Text:
        field = kind(
            placeholder=text(f"history.{key}"),
            tooltip=text(f"history.{key}"),
            continuous_update=False,
            layout=w.Layout(width="auto", min_width="0", flex="1 1 60px"),
        )

        def written(change: dict) -> None:
            if not self._filling:
                self._guard(lambda: self._label(**{key: change["new"]}))

        field.observe(written, "value")
        return field


def _tree(trials: list[Trial], labels: dict[int, Label]) -> list[tuple[Trial, int]]:
    """Each trial and how deep it lies, parents first; one whose parent is gone lies at the top."""
    known = {trial.number for trial in trials}
    under: dict[int | None, list[Trial]] = {}
    for trial in trials:
        parent = labels.get(trial.number, LEFT_OUT).parent
        under.setdefault(parent if parent in known and parent != trial.number else None, []).append(trial)
    listed, waiting = [], [(trial, 0) for trial in reversed(under.get(None, []))]
    while waiting:
        trial, level = waiting.pop()
        listed.append((trial, level))
        waiting += [(child, level + 1) for child in reversed(under.get(trial.number, []))]
    return listed


def _row(trial: Trial, said: Label, level: int) -> dict[str, Any]:
    m = trial.metrics
    facts = ["", "", text(f"state.{trial.state}")]
    if m is not None:
        unclaimed = text("history.simulated") if m.simulated else "?" if len(trial.recipe) else "1x"
        speed = f"{m.speedup.value:.2f}x" if m.speedup else unclaimed
        facts = [m.score.text(), bytes_text(m.size_bytes), speed]
    return {
        "number": trial.number,
        "level": level,
        "title": said.name or recipe_words(trial.recipe),
        "recipe": recipe_words(trial.recipe),
        "note": said.note,
        "star": said.star,
        "facts": facts,
        "color": METHODS[method(trial)][0],
        "failed": m is None,
    }
