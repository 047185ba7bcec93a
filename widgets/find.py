"""Find the best: say what must be kept, how long it may take, and let the workbench search."""

import threading
import time
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as w

from widgets.said import said
from widgets.search_plots import covered, deciding
from widgets.texts import text
from widgets.told import dimension
from widgets.told import objective as named
from widgets.words import recipe_words
from workbench import Recipe, Study, WorkbenchError
from workbench.tasks import Task

PAUSE = 0.3  # seconds between two looks at the progress
AIMS: dict[str, list[str]] = {
    "balanced": ["accuracy", "size_bytes", "latency"],
    "smaller": ["size_bytes", "accuracy"],
    "faster": ["speedup", "accuracy"],
}
"""What is made better, the first most of all."""
MINUTES = (2, 5, 10, 30)
TOLD = 3  # knobs of which it is said how much they matter


class Find(w.VBox):
    """Limits, a budget, a button, and what was found.

    Parameters
    ----------
    start : callable
        (study, objectives, constraints, budget) -> Task.
    on_found : callable
        Called with the number of the best trial.
    """

    def __init__(self, start: Callable[..., Task], on_found: Callable[[int], None]):
        self._start, self._on_found = start, on_found
        self.study: Study | None = None
        self.task: Task | None = None
        self.aim = _field(w.Dropdown, "aim", options=[(text(f"find.{aim}"), aim) for aim in AIMS])
        self.lost = _field(w.BoundedFloatText, "lost", value=1.0, min=0.0, max=50.0, step=0.5)
        self.size = _field(w.BoundedFloatText, "size", value=0.0, min=0.0, max=1e6, step=10)
        minutes = [(text("find.minutes.of", count=count), count) for count in MINUTES]
        self.minutes = _field(w.Dropdown, "minutes", options=minutes, value=5)
        self.button = w.Button(description=text("find"), tooltip=text("find.help"), layout=w.Layout(width="auto"))
        self.cancel = w.Button(description=text("work.cancel"), tooltip=text("find.cancel.help"), disabled=True)
        self.cancel.layout = w.Layout(width="84px")
        self.bar = w.FloatProgress(min=0, max=1, layout=w.Layout(width="auto", height="10px", visibility="hidden"))
        self.words = w.HTML()
        self.plots = w.HTML()
        super().__init__(
            [
                self.aim,
                self.lost,
                self.size,
                self.minutes,
                w.HBox([self.button, self.cancel]),
                self.bar,
                self.words,
                self.plots,
            ]
        )
        self.add_class("wb-find")
        self.button.on_click(lambda _: self.find())
        self.cancel.on_click(lambda _: self._stop())

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
        if self.study is None or self.task is not None:
            return
        try:
            self.follow(self._start(self.study, "search", **self.asked()))
        except WorkbenchError as error:
            self.words.value = f"<span class='wb-bad'>{escape(said(str(error)))}</span>"

    def follow(self, task: Task | None) -> None:
        """Show a search until it ends; None is no search."""
        self.task = task
        if task is None:
            return
        self.button.disabled, self.cancel.disabled = True, False
        self.bar.value, self.bar.layout.visibility = 0.0, "visible"
        self.words.value, self.plots.value = text("find.waiting"), ""
        threading.Thread(target=self._watch, args=(task,), daemon=True).start()

    def _stop(self) -> None:
        if self.task is not None:
            self.cancel.disabled = True
            self.words.value = text("work.stopping")
            self.task.cancel()

    def _watch(self, task: Task) -> None:
        while not task.done():
            if (facts := task.progress()) and not self.cancel.disabled:
                self.bar.value = facts["share"]
                told = escape(doing(facts))
                if "hypervolume" in facts:
                    told += " &middot; " + text("find.covers", share=f"{facts['hypervolume']:.0%}")
                self.words.value = told
                self._draw(facts)
            time.sleep(PAUSE)
        try:
            found = task.result()
            self.words.value = outcome(found)
            self._draw({**found, "history": [(p["seconds"], p["hypervolume"]) for p in found["history"]]})
            best = found["best"]
        except WorkbenchError as error:
            self.words.value, best = f"<span class='wb-bad'>{escape(said(str(error)))}</span>", None
        except Exception as error:  # the worker may have been ended from outside
            what = f"{type(error).__name__}: {error}"
            self.words.value, best = escape(text("refuse.unexpected", what=what)), None
        self.task = None
        self.button.disabled, self.cancel.disabled = False, True
        self.bar.layout.visibility = "hidden"
        if best is not None:
            self._on_found(best)

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


def doing(facts: dict[str, Any]) -> str:
    """What a search does right now, with recipes in the words of the page."""
    if "recipe" not in facts:
        return said(facts["message"])
    return text(f"find.{facts['doing']}", recipe=recipe_words(Recipe.from_dict(facts["recipe"])))


def outcome(found: dict[str, Any]) -> str:
    """What a search found, with the knobs that mattered most for its first objective."""
    told = "".join(f"<p>{escape(said(sentence))}</p>" for sentence in found["sentences"])
    for objective, shares in list(found["importance"].items())[:1]:
        most = sorted(shares.items(), key=lambda pair: pair[1], reverse=True)[:TOLD]
        if most:
            knobs = ", ".join(f"{dimension(name)} {share:.0%}" for name, share in most)
            told += f"<p>{escape(text('find.importance', objective=named(objective), knobs=knobs))}</p>"
    return told
