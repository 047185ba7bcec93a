"""Where it hurts: how much each layer suffers from pruning or fewer bits, as a heat map."""

import threading
import time
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as w
import numpy as np

from widgets.inside import sorry
from widgets.said import said
from widgets.texts import text, translated
from workbench import Cancelled, Study, Trial, WorkbenchError
from workbench.tasks import VIEWS, Task, last_task

WORST = {"accuracy": 0.5, "output error": 1.0}  # a share, lost or moved, at which a cell is as dark as it gets
PAUSE = 0.3  # seconds between two looks at the progress
TASK = "sensitivity"


class Sensitive(w.VBox):
    """The heat map of the study, the same for each of its trials: measured when somebody looks, unless it was.

    Parameters
    ----------
    start : callable
        (study, name of the task) -> Task.
    """

    def __init__(self, start: Callable[[Study, str], Task]):
        self._start = start
        self.study: Study | None = None
        self.task: Task | None = None
        self.found: dict[str, Any] | None = None
        options = [(text(f"sensitive.{view}"), view) for view in VIEWS]
        self.view = w.ToggleButtons(options=options, tooltips=[text(f"sensitive.{view}.help") for view in VIEWS])
        self.view.style.button_width = "auto"
        self.bar = w.FloatProgress(min=0, max=1, layout=w.Layout(width="180px", height="10px"))
        self.words = w.HTML(layout=w.Layout(flex="1", min_width="0"))
        self.stop = w.Button(
            description=text("sensitive.stop"), tooltip=text("sensitive.stop.help"), layout=w.Layout(width="auto")
        )
        self.go_on = w.Button(
            description=text("sensitive.go_on"), tooltip=text("sensitive.go_on.help"), layout=w.Layout(width="auto")
        )
        self.shown = w.HTML()
        self.at_work = w.HBox([self.bar, self.words, self.stop, self.go_on])
        super().__init__([self.view, self.at_work, self.shown])
        self.add_class("wb-inside").add_class("wb-sensitive")
        self.view.observe(lambda _: self._draw(), "value")
        self.stop.on_click(lambda _: self._stop())
        self.go_on.on_click(lambda _: self._begin())
        self._clear()

    def about(self, trial: Trial | None) -> None:
        """Be about the study of a trial, or about none."""
        study = trial.study if trial is not None else None
        if study is None or self.study is None or study.path != self.study.path:
            self._clear()
        self.study = study
        if study is None:
            self.shown.value = f"<p class='wb-hint'>{text('inside.nothing')}</p>"

    def look(self) -> None:
        """Somebody looks: show what is known, follow what another page measures, or begin."""
        if self.study is None or self.task is not None or self.found is not None:
            return
        task = last_task(self.study, TASK)
        if task is None:
            self._begin()
        else:
            self._follow(task)

    def _clear(self) -> None:
        self.task = self.found = None
        self.shown.value = self.words.value = ""
        self._arrange()

    def _begin(self) -> None:
        if self.study is not None and self.task is None:
            try:
                self._follow(self._start(self.study, TASK))
            except WorkbenchError as error:
                self.shown.value = sorry(error)

    def _follow(self, task: Task) -> None:
        self.task = task
        if task.done():
            self._ended(task)
            return
        self.bar.value, self.stop.disabled, self.words.value = 0.0, False, text("sensitive.waiting")
        self._arrange()
        threading.Thread(target=self._watch, args=(task,), daemon=True).start()

    def _watch(self, task: Task) -> None:
        while not task.done():
            if self.task is not task:
                return
            if (facts := task.progress()) and not self.stop.disabled:
                self.bar.value = facts["share"]
                self.words.value = escape(said(facts["message"]))
            time.sleep(PAUSE)
        if self.task is task:
            self._ended(task)

    def _ended(self, task: Task) -> None:
        self.task, self.words.value = None, ""
        further = True
        try:
            self.found = task.result()
            further = self.found["share"] < 1
            if further:
                self.words.value = text("sensitive.stopped", share=f"{self.found['share']:.0%}")
        except Cancelled:
            self.words.value = text("sensitive.none")
        except WorkbenchError as error:
            self.shown.value = sorry(error)
        self._draw()
        self._arrange(further)

    def _stop(self) -> None:
        if self.task is not None:
            self.stop.disabled, self.words.value = True, text("work.stopping")
            self.task.cancel()

    def _arrange(self, further: bool = False) -> None:
        """Show the controls that do something now."""
        busy = self.task is not None
        for part, wanted in (
            (self.view, self.found is not None),
            (self.at_work, busy or further),
            (self.bar, busy),
            (self.stop, busy),
            (self.go_on, further),
        ):
            part.layout.display = "" if wanted else "none"

    def _draw(self) -> None:
        if self.found is not None:
            view = self.found["views"][self.view.value]
            told = "".join(f"<li>{escape(said(sentence))}</li>" for sentence in view["sentences"])
            self.shown.value = f"<ul>{told}</ul>" + heat(view["table"], self.view.value)


def heat(rows: list[dict[str, str]], what: str = "accuracy") -> str:
    """Rows of shares as a table, each cell the darker the more is lost against the best of all, or has moved."""
    if not rows:
        return ""
    shares = [_share(cell) for row in rows for cell in row.values()]
    best = max((share for share in shares if share is not None), default=1.0) if what == "accuracy" else 0.0
    names = list(rows[0])[1:]
    cut = sum(name.startswith("-") for name in names)
    groups = [(cut, text("sensitive.removed")), (len(names) - cut, text("sensitive.bits"))]
    above = "".join(f"<th scope='colgroup' colspan='{count}'>{told}</th>" for count, told in groups if count)
    layer = f"<th scope='col' rowspan='2'>{escape(translated('column', 'layer', 'layer'))}</th>"
    head = "".join(f"<th scope='col'>{escape(name.removeprefix('-').removesuffix(' bits'))}</th>" for name in names)
    body = "".join("<tr>" + "".join(_cell(cell, best, what) for cell in row.values()) + "</tr>" for row in rows)
    legend = f"<caption>{text('sensitive.legend')}</caption>"
    inside = f"{legend}<thead><tr>{layer}{above}</tr><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f"<div class='wb-scroll'><table class='wb-heat'>{inside}</table></div>"


def _share(cell: str) -> float | None:
    return float(cell[:-1]) / 100 if cell.endswith("%") else None


def _cell(cell: str, best: float, what: str) -> str:
    share = _share(cell)
    if share is None:
        return f"<td>{escape(cell)}</td>"
    dark = 0.75 * min(1.0, abs(best - share) / WORST[what])
    ratio = text("sensitive.ratio", decibels=f"{-20 * np.log10(share):.1f}") if what == "output error" and share else ""
    title = f" title='{escape(ratio, quote=True)}'" if ratio else ""
    return f"<td style='background:rgba(213, 94, 0, {dark:.2f})'{title}>{escape(cell[:-1])}</td>"
