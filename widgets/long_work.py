"""A panel over a task that takes minutes: it begins it, follows it wherever it runs, and stops it."""

import threading
import time
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as w

from widgets.inside import sorry
from widgets.said import said
from widgets.texts import text
from workbench import Study, WorkbenchError
from workbench.tasks import Task

PAUSE = 0.3  # seconds between two looks at the progress
Start = Callable[..., Task]


class LongWork(w.VBox):
    """What panels over a task of `workbench.tasks` share; `at_work` holds its bar, its words and its buttons.

    Parameters
    ----------
    start : callable
        (study, name of the task, options by name) -> Task.
    name : str
        Of the task.
    """

    def __init__(self, start: Start, name: str):
        self._start, self.name = start, name
        self.study: Study | None = None
        self.task: Task | None = None
        self.bar = w.FloatProgress(min=0, max=1, layout=w.Layout(width="180px", height="10px"))
        self.words = w.HTML(layout=w.Layout(flex="1", min_width="0"))
        self.stop, self.go_on = self._button("stop"), self._button("go_on")
        self.shown = w.HTML()
        self.stop.layout.align_self = self.go_on.layout.align_self = "center"
        self.at_work = w.HBox([self.bar, self.words, self.stop, self.go_on])
        super().__init__([self.at_work, self.shown])
        self.add_class("wb-inside").add_class("wb-long-work")
        self.stop.on_click(lambda _: self._stop())
        self.go_on.on_click(lambda _: self._begin())

    def _button(self, what: str) -> w.Button:
        key = f"{self.name}.{what}"
        layout = w.Layout(width="auto", align_self="flex-start")
        return w.Button(description=text(key), tooltip=text(f"{key}.help"), layout=layout)

    def _begin(self, **options: Any) -> None:
        if self.study is not None and self.task is None:
            try:
                self._follow(self._start(self.study, self.name, **options))
            except WorkbenchError as error:
                self.shown.value = sorry(error)

    def _follow(self, task: Task) -> None:
        self.task = task
        if task.done():
            self._end(task)
            return
        self.bar.value, self.stop.disabled, self.words.value = 0.0, False, text(f"{self.name}.waiting")
        self._arrange()
        threading.Thread(target=self._watch, args=(task,), daemon=True).start()

    def _watch(self, task: Task) -> None:
        while not task.done():
            if self.task is not task:
                return
            if (facts := task.progress()) and not self.stop.disabled:
                self.bar.value = facts["share"]
                self.words.value = self._progress(facts)
            time.sleep(PAUSE)
        if self.task is task:
            self._end(task)

    def _progress(self, facts: dict[str, Any]) -> str:
        return escape(said(facts["message"]))

    def _end(self, task: Task) -> None:
        self.task, self.words.value = None, ""
        self._ended(task)

    def _ended(self, task: Task) -> None:
        """Show what a task gave, or why it gave nothing."""
        raise NotImplementedError

    def _stop(self) -> None:
        if self.task is not None:
            self.stop.disabled, self.words.value = True, text("work.stopping")
            self.task.cancel()

    def _arrange(self, further: bool = False) -> None:
        """Show the controls that do something now; `further` is whether there is something to go on with."""
        busy = self.task is not None
        for part, wanted in (
            (self.at_work, busy or further),
            (self.bar, busy),
            (self.stop, busy),
            (self.go_on, further and not busy),
        ):
            part.layout.display = "" if wanted else "none"
