"""Where it hurts: how much each layer suffers from pruning or fewer bits, as a heat map."""

from html import escape
from typing import Any

import ipywidgets as w
import numpy as np

from widgets.inside import sorry
from widgets.long_work import LongWork, Start
from widgets.said import said
from widgets.texts import text, translated
from workbench import Cancelled, Trial, WorkbenchError
from workbench.tasks import VIEWS, Task, last_task

WORST = {"accuracy": 0.5, "output error": 1.0}  # a share, lost or moved, at which a cell is as dark as it gets


class Sensitive(LongWork):
    """The heat map of the study, the same for each of its trials: measured when somebody looks, unless it was.

    Parameters
    ----------
    start : callable
        As `LongWork` takes it.
    """

    def __init__(self, start: Start):
        super().__init__(start, "sensitivity")
        self.found: dict[str, Any] | None = None
        options = [(text(f"sensitivity.{view}"), view) for view in VIEWS]
        self.view = w.ToggleButtons(options=options, tooltips=[text(f"sensitivity.{view}.help") for view in VIEWS])
        self.view.style.button_width = "auto"
        self.children = [self.view, self.at_work, self.shown]
        self.view.observe(lambda _: self._draw(), "value")
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
        task = last_task(self.study, self.name)
        if task is None:
            self._begin()
        else:
            self._follow(task)

    def _clear(self) -> None:
        self.task = self.found = None
        self.shown.value = self.words.value = ""
        self._arrange()

    def _ended(self, task: Task) -> None:
        further = True
        try:
            self.found = task.result()
            further = self.found["share"] < 1
            if further:
                self.words.value = text("sensitivity.stopped", share=f"{self.found['share']:.0%}")
        except Cancelled:
            self.words.value = text("sensitivity.none")
        except WorkbenchError as error:
            self.shown.value = sorry(error)
        self._draw()
        self._arrange(further)

    def _arrange(self, further: bool = False) -> None:
        super()._arrange(further)
        self.view.layout.display = "" if self.found is not None else "none"

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
    groups = [(cut, text("sensitivity.removed")), (len(names) - cut, text("sensitivity.bits"))]
    above = "".join(f"<th scope='colgroup' colspan='{count}'>{told}</th>" for count, told in groups if count)
    layer = f"<th scope='col' rowspan='2'>{escape(translated('column', 'layer', 'layer'))}</th>"
    head = "".join(f"<th scope='col'>{escape(name.removeprefix('-').removesuffix(' bits'))}</th>" for name in names)
    body = "".join("<tr>" + "".join(_cell(cell, best, what) for cell in row.values()) + "</tr>" for row in rows)
    legend = f"<caption>{text('sensitivity.legend')}</caption>"
    inside = f"{legend}<thead><tr>{layer}{above}</tr><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f"<div class='wb-scroll'><table class='wb-heat'>{inside}</table></div>"


def _share(cell: str) -> float | None:
    return float(cell[:-1]) / 100 if cell.endswith("%") else None


def _cell(cell: str, best: float, what: str) -> str:
    share = _share(cell)
    if share is None:
        return f"<td>{escape(cell)}</td>"
    dark = 0.75 * min(1.0, abs(best - share) / WORST[what])
    ratio = (
        text("sensitivity.ratio", decibels=f"{-20 * np.log10(share):.1f}") if what == "output error" and share else ""
    )
    title = f" title='{escape(ratio, quote=True)}'" if ratio else ""
    return f"<td style='background:rgba(213, 94, 0, {dark:.2f})'{title}>{escape(cell[:-1])}</td>"
