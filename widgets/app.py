"""The workbench: pick a model, turn the knobs, run, and see what it costs and what it buys."""

import functools
import logging
import os
import threading
import time
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as w

from widgets.inside import Inside
from widgets.pickers import Pickers
from widgets.recipe_editor import RecipeEditor
from widgets.result import ResultCard
from widgets.tradeoff import TradeoffPlot
from widgets.words import recipe_words
from widgets.work import WorkBar
from workbench import Recipe, Study, Trial, WorkbenchError
from workbench.workers import Job, LocalWorkers

LOOK = 1.0  # seconds between two looks at the study's folder
FIRST = ("prune", "distill", "quantize")
STYLE = Path(__file__).with_name("theme.css")
TITLE = "<h1>Compression Workbench</h1><span>Smaller and faster neural networks: measured, not guessed.</span>"
log = logging.getLogger(__name__)


class Workbench(w.VBox):
    """The whole app.

    Parameters
    ----------
    study : Study, optional
        The study to work on; without one, the page lets the user pick model, dataset, runtime and device.
    path : str or Path, optional
        Folder of the studies that the user picks.
    """

    def __init__(self, study: Study | None = None, path: str | Path | None = None):
        self.folder = Path(path or os.environ.get("WORKBENCH_STUDIES", "runs"))
        self.study: Study | None = None
        self.workers = _workers()
        self._chosen: int | None = None
        self._listing = False
        self._acting = threading.RLock()  # the page, the progress bar and the watcher take turns
        self.message = w.HTML()
        self.message.add_class("wb-message")
        self.editor = RecipeEditor(FIRST)
        self.run_button = w.Button(
            description="Run", button_style="primary", tooltip="Carry the recipe out and measure it", disabled=True
        )
        self.run_button.layout = w.Layout(width="100%", height="36px")
        self.run_button.on_click(lambda _: self._guarded(self.run))
        self.card = ResultCard()
        self.inside = Inside(lambda trial, question: self.workers.ask(trial.study, trial.number, question))
        self.work = WorkBar(on_done=self._finished)
        self.trials = w.Select(description="Trials", options=[], rows=7, layout=w.Layout(width="100%"))
        self.counter = w.HTML()
        self.trials.observe(lambda change: self._guarded(lambda: self._choose(change["new"])), "value")
        self.pickers = Pickers(study, on_open=lambda: self._guarded(self.open_study))
        self._guarded(lambda: self._set_study(study or self.pickers.study(self.folder)))
        self.plot = TradeoffPlot(self.study)
        self.plot.observe(lambda change: self._guarded(lambda: self._choose(change["new"])), "selected")
        super().__init__(
            [
                w.HTML(f"<style>{STYLE.read_text(encoding='utf-8')}</style>"),
                w.HTML(TITLE),
                w.HBox([self._left(), self._right()]),
            ]
        )
        self.children[1].add_class("wb-title")
        self.children[2].add_class("wb-page")
        self.add_class("wb-app")
        self._guarded(self._opened)
        threading.Thread(target=self._watch, daemon=True).start()

    def open_study(self) -> None:
        """Open the study that the pickers name."""
        self._set_study(None)
        self._set_study(self.pickers.study(self.folder))
        self._opened()

    def _set_study(self, study: Study | None) -> None:
        self.study, self._chosen = study, None
        self.run_button.disabled = study is None

    def _opened(self) -> None:
        """Show the study from the start; measure its baseline where it has none."""
        if self.study is None:
            return
        self._say("")
        self.card.clear()
        self.inside.show(None)
        self.plot.mark(None)
        self.refresh()
        self._measure_baseline(self.study)

    def _measure_baseline(self, study: Study) -> None:
        """Queue the baseline where it is neither measured nor under way, so that its progress is seen too."""
        if not any(not t.recipe.steps and t.state in ("complete", "waiting", "running") for t in study.trials):
            self.work.watch(self.workers.submit(study, Recipe()))

    def recipe(self) -> Recipe:
        """The recipe as the knobs stand."""
        return self.editor.recipe()

    def run(self) -> None:
        """Queue the recipe."""
        if self.study is None:
            raise WorkbenchError("No study is open.", "Pick a model and a dataset first.")
        recipe = self.recipe()
        if not len(recipe):
            raise WorkbenchError("The recipe is empty.", "Switch on at least one step.")
        self.study.check(recipe)
        self._measure_baseline(self.study)
        self.work.watch(self.workers.submit(self.study, recipe))
        self._say("")

    def refresh(self) -> None:
        """Show the study as it is on disk."""
        if self.study is None:
            return
        self.plot.show(self.study)
        opened = self.study.test_openings
        self.counter.value = f"Judged on the validation split; the test split was opened {opened} times."
        options = [(_line(trial), trial.number) for trial in reversed(self.study.trials) if trial.finished]
        if list(self.trials.options) != options:
            value = self._chosen
            self._listing = True  # a list that changes selects by itself, which is no choice of the user's
            try:
                self.trials.options = options
                self.trials.value = value if value in [n for _, n in options] else None
            finally:
                self._listing = False

    def _choose(self, number: int | None, load: bool = True) -> None:
        if number is None or self.study is None or number == self._chosen or self._listing:
            return
        self._chosen = number
        trial = self.study.trial(number)
        self.card.show(trial)
        self.inside.show(trial)
        self.plot.mark(number)
        self.trials.value = number if number in [n for _, n in self.trials.options] else None
        if load and len(trial.recipe):
            self.load(trial.recipe)

    def load(self, recipe: Recipe) -> None:
        """Set the knobs as in a recipe."""
        self.editor.load(recipe)

    def _finished(self, job: Job) -> None:
        def show() -> None:
            if self.study is None or job.study.path != self.study.path:
                return
            self.refresh()
            self._choose(job.number, load=False)  # the user may be turning the knobs already

        self._guarded(show)

    def _watch(self) -> None:
        """Notice what another page or process adds to the study."""
        seen: tuple = ()
        while self.comm is not None:
            time.sleep(LOOK)
            study = self.study
            now = (study.path, _changed(study)) if study else ()
            if now != seen:
                seen = now
                self._guarded(self.refresh)

    def _guarded(self, action: Callable[[], Any]) -> None:
        try:
            with self._acting:
                action()
        except WorkbenchError as error:
            self._say(str(error))
        except Exception as error:
            log.exception("the page met an error")
            what = f"{type(error).__name__}: {error}"
            self._say(f"Something unexpected went wrong ({what}). Nothing stored is lost; reload the page.")

    def _say(self, sentence: str) -> None:
        self.message.value = f"<div role='alert'>{escape(sentence)}</div>" if sentence else ""

    def _left(self) -> w.Widget:
        knobs = w.VBox([self.pickers, self.editor])
        knobs.add_class("wb-knobs")
        left = w.VBox([knobs, self.message, self.run_button])
        left.add_class("wb-left")
        return left

    def _right(self) -> w.Widget:
        history = w.VBox([w.HTML("<h3>Trials</h3>"), self.trials, self.counter])
        history.add_class("wb-history")
        chosen = w.VBox([self.card, self.inside])
        chosen.add_class("wb-chosen")
        below = w.HBox([chosen, history])
        below.add_class("wb-below")
        right = w.VBox([self.work, self.plot, below])
        right.add_class("wb-right")
        return right


@functools.cache
def _workers() -> LocalWorkers:
    """One pool for all the panels of a kernel."""
    return LocalWorkers()


def _changed(study: Study) -> float:
    try:
        return (study.path / "study.db").stat().st_mtime
    except OSError:  # what is left of the study says why, once it is looked at
        return 0.0


def _line(trial: Trial) -> str:
    m = trial.metrics
    if m is None:
        return f"{trial.number}  {trial.state}: {recipe_words(trial.recipe)}"
    unclaimed = "simulated" if m.simulated else "?x" if len(trial.recipe) else "1x"
    speed = f"{m.speedup.value:.2f}x" if m.speedup else unclaimed
    return (
        f"{trial.number}  {m.accuracy.value:.2%}  {m.size_bytes / 1000:,.0f} kB  {speed}  {recipe_words(trial.recipe)}"
    )
