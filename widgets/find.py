"""Find the best: say what must be kept, how long it may take, and let the workbench search."""

import threading
import time
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as w

from widgets.said import said
from widgets.search_plots import covered, deciding
from widgets.searching import doing, duration, front, headline, outcome, seconds_left, spent, tried
from widgets.texts import text
from workbench import Cancelled, Study, WorkbenchError
from workbench.tasks import BrokenOff, Task, last_task

PAUSE = 0.3  # seconds between two looks at the progress
LEAST = 10.0  # seconds of a budget that are worth going on for
AIMS: dict[str, list[str]] = {
    "balanced": ["accuracy", "size_bytes", "latency"],
    "smaller": ["size_bytes", "accuracy"],
    "faster": ["speedup", "accuracy"],
}
"""What is made better, the first most of all."""
MINUTES = (2, 5, 10, 30)


class Find(w.VBox):
    """Limits, a budget, a button, and what was found.

    Parameters
    ----------
    start : callable
        (study, objectives, constraints, budget) -> Task.
    on_found : callable
        Called with the number of the best trial.
    on_begin : callable
        Called when there is a search to be seen.
    on_told : callable
        Called with the share of the budget that is spent and a line of words, again and again; with None where no
        search runs.
    """

    def __init__(
        self,
        start: Callable[..., Task],
        on_found: Callable[[int], None],
        on_begin: Callable[[], None] = lambda: None,
        on_told: Callable[[float | None, str], None] = lambda share, words: None,
    ):
        self._start, self._on_found, self._on_begin, self._on_told = start, on_found, on_begin, on_told
        self.study: Study | None = None
        self.task: Task | None = None
        self._seen: float | None = None  # when the search was begun that was shown last
        self._trial: int | None = None  # that the search carries out
        self._skipped: int | None = None
        self._further: dict[str, Any] = {}  # what to ask for to go on with it
        self.aim = _field(w.Dropdown, "aim", options=[(text(f"find.{aim}"), aim) for aim in AIMS])
        self.lost = _field(w.BoundedFloatText, "lost", value=1.0, min=0.0, max=50.0, step=0.5)
        self.size = _field(w.BoundedFloatText, "size", value=0.0, min=0.0, max=1e6, step=10)
        minutes = [(text("find.minutes.of", count=count), count) for count in MINUTES]
        self.minutes = _field(w.Dropdown, "minutes", options=minutes, value=5)
        self.button = w.Button(description=text("find"), tooltip=text("find.help"), layout=w.Layout(width="auto"))
        self.cancel = w.Button(description=text("work.cancel"), tooltip=text("find.cancel.help"), disabled=True)
        self.cancel.layout = w.Layout(width="84px")
        self.skip = w.Button(description=text("find.skip"), tooltip=text("find.skip.help"), disabled=True)
        self.skip.layout = w.Layout(width="auto", display="none")
        self.go_on = w.Button(tooltip=text("find.go_on.help"), layout=w.Layout(width="auto", display="none"))
        self.bar = w.FloatProgress(min=0, max=1, layout=w.Layout(width="auto", height="10px", visibility="hidden"))
        self.origin, self.time, self.words, self.plots = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self.origin.layout.display = "none"
        buttons = w.HBox([self.button, self.cancel, self.skip])
        told = [self.go_on, self.bar, self.origin, self.time, self.words, self.plots]
        super().__init__([self.aim, self.lost, self.size, self.minutes, buttons, *told])
        self.add_class("wb-find")
        self.button.on_click(lambda _: self.find())
        self.cancel.on_click(lambda _: self.stop())
        self.skip.on_click(lambda _: self._skip())
        self.go_on.on_click(lambda _: self._begin(self._further))

    def about(self, study: Study | None) -> None:
        """Search in this study from now on; what another one searches for goes on, unseen."""
        if study is None or self.study is None or study.path != self.study.path:
            self.task, self._seen = None, None
            self._rest()
            self.time.value = self.words.value = self.plots.value = ""
            self.go_on.layout.display = "none"
        self.study = study

    def look_around(self) -> None:
        """Show the search that another page or a program has begun, where it isn't shown yet, or what it found."""
        if self.study is None or self.task is not None:
            return
        task = last_task(self.study, "search")
        if task is not None and task.began != self._seen:
            if task.options:
                self._fill(task.options)
            self.follow(task)

    def asked(self) -> dict[str, Any]:
        """What the search is asked for, as `Study.search` takes it."""
        classifies = self.study is None or self.study.dataset.task == "classification"
        better = AIMS[self.aim.value]
        limits = {"accuracy_drop" if classifies else "score_drop": self.lost.value / 100}
        if self.size.value:
            limits["size_bytes"] = 1000 * self.size.value
        return {
            "objectives": better if classifies else ["score" if name == "accuracy" else name for name in better],
            "constraints": limits,
            "budget": f"{self.minutes.value} min",
        }

    def find(self) -> None:
        """Start the search."""
        self._begin(self.asked())

    def follow(self, task: Task | None) -> None:
        """Show a search until it ends; None is no search."""
        self.task = task
        if task is None:
            return
        self._seen = task.began
        self.go_on.layout.display = "none"
        self.time.value, self.plots.value = "", ""
        if task.done():  # before this page came: what it found is shown, and whatever was chosen stays so
            self._ended(task)
            return
        self.button.disabled, self.cancel.disabled = True, False
        self.bar.value, self.bar.layout.visibility = 0.0, "visible"
        self.skip.layout.display = ""
        self.origin.value = text("find.program")
        self.origin.layout.display = "" if task.of_program else "none"
        self.words.value = text("find.waiting")
        self._on_told(0.0, text("find.waiting"))
        self._on_begin()
        threading.Thread(target=self._watch, args=(task,), daemon=True).start()

    def _begin(self, asked: dict[str, Any]) -> None:
        if self.study is None or self.task is not None:
            return
        try:
            self.follow(self._start(self.study, "search", **asked))
        except WorkbenchError as error:
            self.words.value = f"<span class='wb-bad'>{escape(said(str(error)))}</span>"

    def _fill(self, options: dict[str, Any]) -> None:
        """Set the fields to what a search was asked for."""
        limits = options.get("constraints") or {}
        better = ["accuracy" if name == "score" else name for name in options.get("objectives") or ()]
        self.aim.value = next((aim for aim, names in AIMS.items() if names == better), self.aim.value)
        self.lost.value = 100 * limits.get("accuracy_drop", limits.get("score_drop", self.lost.value / 100))
        self.size.value = limits.get("size_bytes", 0.0) / 1000
        minutes = str(options.get("budget", "")).removesuffix(" min")
        if minutes in map(str, MINUTES):
            self.minutes.value = int(minutes)

    def stop(self) -> None:
        """Let the search that is shown end; what it found stays."""
        if self.task is not None:
            self.cancel.disabled = self.skip.disabled = True
            self.words.value = text("work.stopping")
            self.task.cancel()

    def _skip(self) -> None:
        """Cancel the trial that runs, and only that."""
        if self.task is not None and self._trial is not None:
            self.skip.disabled, self._skipped = True, self._trial
            try:
                self.task.study.trial(self._trial).cancel()
            except WorkbenchError as error:
                self.words.value = f"<span class='wb-bad'>{escape(said(str(error)))}</span>"

    def _watch(self, task: Task) -> None:
        while not task.done():
            if self.task is not task:
                return
            if facts := task.progress():
                self._show(facts)
            time.sleep(PAUSE)
        if self.task is task:
            best = self._ended(task)
            if best is not None:
                self._on_found(best)

    def _show(self, facts: dict[str, Any]) -> None:
        """How far it is."""
        self.bar.value = facts["share"]
        self.time.value = escape(spent(facts))
        if self.task is not None:  # or else another study is shown by now
            self._on_told(facts["share"], text("work.stopping") if self.cancel.disabled else headline(facts))
        if self.cancel.disabled:
            return
        self._trial = tried(facts)
        self.skip.disabled = self._trial in (None, self._skipped)
        told = escape(doing(facts))
        if "hypervolume" in facts:
            told += " &middot; " + text("find.covers", share=f"{facts['hypervolume']:.0%}")
        self.words.value = f"<p>{told}</p>" + (f"<p>{escape(front(facts))}</p>" if front(facts) else "")
        self._draw(facts)

    def _ended(self, task: Task) -> int | None:
        """Show how it ended, and offer to go on where it was not done; the number of the best trial."""
        facts, more, best = task.progress() or {}, False, None
        try:
            found = task.result()
            facts, more, best = found, found.get("stopped", False), found["best"]
            self.words.value = outcome(found)
            self._draw({**found, "history": [(p["seconds"], p["hypervolume"]) for p in found["history"]]})
        except Cancelled:
            more = True
            self.words.value = f"<p>{escape(text('find.stopped'))}</p>"
        except WorkbenchError as error:
            more = isinstance(error, BrokenOff)
            self.words.value = f"<span class='wb-bad'>{escape(said(str(error)))}</span>"
            self._draw(facts)
        self.time.value = escape(spent(facts))
        self.task = None
        self._rest()
        if more and task.options:
            self._offer(task.options, seconds_left(facts))
        return best

    def _rest(self) -> None:
        self.button.disabled, self.cancel.disabled, self.skip.disabled = False, True, True
        self.skip.layout.display = self.origin.layout.display = "none"
        self.bar.layout.visibility = "hidden"
        self._trial = self._skipped = None
        self._on_told(None, "")

    def _offer(self, options: dict[str, Any], left: float | None) -> None:
        """Offer to go on for the time that is left."""
        if left is not None and left < LEAST:
            return
        self._further = options if left is None else {**options, "budget": f"{left:.0f} s"}
        self.go_on.description = text("find.go_on") if left is None else text("find.go_on.for", time=duration(left))
        self.go_on.layout.display = ""

    def _draw(self, facts: dict[str, Any]) -> None:
        """The plots, where there is anything new to draw."""
        drawn = covered(facts.get("history", ())) + deciding(facts.get("importance", {}))
        if drawn and drawn != self.plots.value:
            self.plots.value = drawn


def _field(kind: type[w.Widget], key: str, **more: Any) -> Any:
    """A control with its label and its help from the catalogue."""
    label, tooltip = text(f"find.{key}"), text(f"find.{key}.help")
    style = {"description_width": "118px"}
    return kind(description=label, tooltip=tooltip, layout=w.Layout(width="auto"), style=style, **more)
