"""The workbench: pick a model, say what matters, run, and see what it costs and what it buys."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as w

from widgets.browser import Browser
from widgets.chosen import Chosen
from widgets.cost import Cost
from widgets.find import Find
from widgets.following import follow
from widgets.forecast import Forecast
from widgets.goals import OWN, GoalButtons
from widgets.header import Header
from widgets.history import TrialHistory
from widgets.model_card import ModelCard
from widgets.own import OwnFiles
from widgets.pickers import Pickers
from widgets.pool import workers
from widgets.recipe_editor import RecipeEditor
from widgets.said import said
from widgets.texts import speak, text
from widgets.tradeoff import TradeoffPlot
from widgets.undo import Undo
from widgets.work import WorkBar
from workbench import Recipe, Study, Trial, WorkbenchError
from workbench.goals import goal_recipe
from workbench.questions import Answer
from workbench.workers import Job

SETTLE = 0.5  # seconds between a click on Run and the reading of the knobs
FIRST = ("prune", "distill", "quantize")
GOAL = "balanced"
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
        self.workers = workers()
        self._given = study
        self._chosen: int | None = None
        self._origin: int | None = None
        self._costs = Cost()
        self._fresh = True  # no goal was chosen yet
        self._acting = threading.RLock()  # the page, the progress bar and the watcher take turns
        self.browser = Browser(links=study is None and _served(), copied=text("copied"), why=text("why"))
        self.work = WorkBar(
            self._finished, self._progressed, self.workers.move, self._show_search, lambda: self.find.stop()
        )
        self._build()
        super().__init__(self._page())
        self.add_class("wb-app")
        self.browser.observe(lambda change: self.plot.dress(change["new"]), "dark")
        self.browser.observe(lambda _: self.plot.drawing.renew(), "seen")
        self.browser.observe(lambda change: self._guarded(lambda: self._follow(change["new"])), "query")
        self._guarded(lambda: self._set_study(study or self.pickers.study(self.folder)))
        self._guarded(self._opened)
        follow(self, lambda: self.study, lambda: self._guarded(self.refresh))

    def _build(self) -> None:
        """Make every panel, in the language in use."""
        self.message = w.HTML().add_class("wb-message")
        self.header = Header(self.browser, self.work, on_language=self._speak)
        self.model = ModelCard()
        self.goals = GoalButtons(lambda name: self._guarded(lambda: self._aim(name)))
        self.editor = RecipeEditor(FIRST)
        self.undo = Undo(self._load_quietly)
        self.run_button = w.Button(
            description=text("run"), button_style="primary", tooltip=text("run.help"), disabled=True
        )
        self.run_button.add_class("wb-run").on_click(lambda _: _soon(lambda: self._guarded(self.run)))
        self.chosen = Chosen(self._ask, self.workers.start)
        self.history = TrialHistory(guard=self._labelled)
        self.cost = w.HTML().add_class("wb-cost")
        self.counter = w.HTML().add_class("wb-counter")
        self.plot = TradeoffPlot(self.study, dark=self.browser.dark)
        self.forecast = Forecast(
            self.plot.foresee, lambda study: self.workers.start(study, "prepare"), shown=self.browser.links
        )
        self.find = Find(
            self.workers.start,
            on_found=lambda number: self._guarded(lambda: self._choose(number)),
            on_begin=self._unfold,
            on_told=self.work.search,
        )
        self.finding = w.Accordion([self.find], titles=(text("find"),), selected_index=None).add_class("wb-more")
        self.pickers = Pickers(self._given, on_open=lambda: self._guarded(self.open_study))
        self.own = OwnFiles(self._where, lambda study: self._guarded(lambda: self._open_own(study)))
        self.history.observe(lambda change: self._guarded(lambda: self._choose(change["new"])), "selected")
        self.plot.observe(lambda change: self._guarded(lambda: self._choose(change["new"])), "selected")
        self.plot.observe(lambda change: self._guarded(lambda: self._side_by_side(change["new"])), "boxed")
        self.editor.observe(lambda _: self._turned(self.editor.current), ["current", "refusal"])
        self.undo.forget(self.editor.current)

    def open_study(self) -> None:
        """Open the study that the pickers name."""
        self._set_study(None)
        self._set_study(self.pickers.study(self.folder))
        self._opened()

    def _labelled(self, action: Callable[[], Any]) -> None:
        """Do what changes the labels of trials, and show it everywhere."""
        self._guarded(action)
        self._guarded(self.refresh)
        self._guarded(self.chosen.retitle)

    def _where(self) -> tuple[Path, str, str]:
        return self.folder, self.pickers.runtime.value, self.pickers.device.value

    def _open_own(self, study: Study) -> None:
        """Open a study of files that were handed over."""
        self._set_study(study)
        self._opened()
        self.browser.address = {"study": study.path.name, "trial": ""}

    def _set_study(self, study: Study | None) -> None:
        self.study, self._chosen, self._origin = study, None, None
        self.run_button.disabled = study is None
        self.find.about(study)
        self.editor.about(study)

    def _unfold(self) -> None:
        """Let a search be seen."""
        self.finding.selected_index = 0

    def _show_search(self) -> None:
        """Bring the search into sight."""
        self._unfold()
        self.find.cancel.focus()

    def _opened(self, wanted: int | None = None) -> None:
        """Show the study from the start, with the wanted trial or the last; measure its baseline where it has none."""
        if self.study is None:
            return
        self._say("")
        self.chosen.clear()
        self.plot.mark(None)
        self.history.mark(None)
        if self._fresh or self.goals.chosen != OWN:
            self._fresh = False
            self._aim(GOAL if self.goals.chosen == OWN else self.goals.chosen)
            self.undo.forget(self.editor.current)
        self.refresh()
        done = [trial.number for trial in self.study.trials if trial.metrics]
        if wanted is None:  # the address must not lead to another trial in between: the page may be loaded anew
            self._choose(done[-1] if done else None, load=False)
        else:
            self._choose(wanted)
        if not self.browser.links or self.browser.query:
            self._go_on(self.study)

    def _go_on(self, study: Study) -> None:
        """Foresee, take up the work that an earlier page left undone, and show what is under way."""
        self._foresee()
        for job in self.workers.resume(study):
            self.work.watch(job)
        self._measure_baseline(study)

    def _measure_baseline(self, study: Study) -> None:
        """Queue the baseline where it is neither measured nor under way, so that its progress is seen too."""
        if not any(not t.recipe.steps and t.state in ("complete", "waiting", "running") for t in study.trials):
            self.work.watch(self.workers.submit(study, Recipe()))

    def recipe(self) -> Recipe:
        """The recipe as the knobs stand."""
        return self.editor.recipe()

    def run(self) -> None:
        """Queue the recipe, and show it as it runs."""
        if self.study is None:
            raise WorkbenchError(text("refuse.study"), text("refuse.study.hint"))
        recipe = self.recipe()
        if not len(recipe):
            raise WorkbenchError(text("refuse.empty"), text("refuse.empty.hint"))
        self.study.check(recipe)
        self.forecast.check(recipe)
        self._measure_baseline(self.study)
        job = self.workers.submit(self.study, recipe)
        if self._origin is not None:
            self.study.label(job.number, parent=self._origin)
        self.work.watch(job)
        self._say("")
        self._choose(job.number, load=False)
        self._origin = job.number

    def refresh(self) -> None:
        """Show the study as it is on disk."""
        if self.study is None:
            return
        self.plot.show(self.study)
        self.history.show(self.study)
        self.model.show(self.study)
        self.cost.value = self._costs.told(self.study, self.editor.current)
        if self.forecast.lacking:
            self._foresee()
        self.counter.value = text("counter", opened=self.study.test_openings)
        self.find.look_around()

    def load(self, recipe: Recipe) -> None:
        """Set the knobs as in a recipe."""
        self.undo.settle()
        self.editor.load(recipe)
        self.undo.settle()

    def _load_quietly(self, recipe: Recipe) -> None:
        self.editor.load(recipe)

    def _aim(self, goal: str) -> None:
        """Fill in the recipe of a goal, or show all the knobs."""
        self.editor.fold(goal != OWN)
        if goal != OWN and self.study is not None:
            self.load(goal_recipe(goal, self.study))
            self._origin = None
            self.goals.chosen = goal
        self._say("")

    def _turned(self, recipe: Recipe | None) -> None:
        """The knobs stand for another recipe now."""
        self.undo.note(recipe)
        goal = self.goals.chosen
        if goal != OWN and self.study is not None and recipe != _goal(goal, self.study):
            self.goals.chosen = OWN
        self._say("")
        self._foresee()
        self.cost.value = self._costs.told(self.study, recipe)

    def _foresee(self) -> None:
        """Have told what the knobs would give, once there is a page: one that was only made ready takes no time."""
        if not self.browser.links or self.browser.query:
            self.forecast.ask(self.study, self.editor.current, self.editor.refusal)

    def _choose(self, number: int | None, load: bool = True) -> None:
        if number is None or self.study is None or number == self._chosen:
            return
        self._chosen = number
        trial = self.study.trial(number)
        self.chosen.show(trial)
        self.plot.mark(number)
        self.history.mark(number)
        self.browser.address = {"study": self.study.path.name, "trial": str(number)}
        if load:
            self._origin = number
            if len(trial.recipe):
                self.load(trial.recipe)

    def _side_by_side(self, numbers: list[int]) -> None:
        if numbers and self.study is not None:
            self._chosen = None
            self.chosen.side_by_side([self.study.trial(number) for number in numbers])

    def _finished(self, job: Job) -> None:
        def show() -> None:
            if self.study is None or job.study.path != self.study.path:
                return
            self.refresh()
            if self._chosen in (None, job.number):  # the user may be looking at another by now
                self._chosen = None
                self._choose(job.number, load=False)
            if not len(job.trial().recipe):
                self._foresee()

        self._guarded(show)

    def _progressed(self, job: Job) -> None:
        if self._chosen == job.number and self.study is not None and job.study.path == self.study.path:
            self._guarded(lambda: self.chosen.show(job.trial()))

    def _ask(self, trial: Trial, question: str, against: int | None) -> "Future[Answer]":
        return self.workers.ask(trial.study, trial.number, question, against)

    def _follow(self, query: dict[str, str]) -> None:
        """Open what the page's address asks for."""
        for part in (self.model, self.forecast.words, self.work.text, self.chosen.heading, self.chosen.card):
            part.send_state()  # what threads wrote while the page was being made may have missed it
        name, number = query.get("study", ""), query.get("trial", "")
        wanted = int(number) if number.isdecimal() else None
        if name and (self.study is None or name != self.study.path.name):
            try:
                found = self.pickers.find(self.folder, name)
            except WorkbenchError:
                self._foresee()  # of the study that stays
                raise
            self._set_study(found)
            self._opened(wanted)
        elif self.study is not None:
            self._choose(wanted)
            self._go_on(self.study)

    def _speak(self, language: str) -> None:
        """Make the page again in another language; study, knobs and chosen trial stay."""
        recipe, chosen, goal = self.editor.current, self._chosen, self.goals.chosen
        picked = self.pickers.picked()
        speak(language)
        self.work.restate()
        self.browser.copied, self.browser.why = text("copied"), text("why")
        searching = self.find
        self._build()
        self.find.about(self.study)
        self.editor.about(self.study)
        self.find.follow(searching.task)
        searching.follow(None)
        self.pickers.pick(picked)
        self.goals.chosen = goal
        self.children = self._page()
        self.run_button.disabled = self.study is None
        if recipe is not None:
            self.load(recipe)
        self.refresh()
        self._chosen = None
        self._choose(chosen, load=False)
        self.plot.drawing.renew()

    def _guarded(self, action: Callable[[], Any]) -> None:
        try:
            with self._acting:
                action()
        except WorkbenchError as error:
            self._say(said(str(error)))
        except Exception as error:
            log.exception("the page met an error")
            self._say(text("refuse.unexpected", what=f"{type(error).__name__}: {error}"))

    def _say(self, sentence: str) -> None:
        self.message.value = f"<div role='alert'>{escape(sentence)}</div>" if sentence else ""

    def _page(self) -> list[w.Widget]:
        own = w.Accordion([self.own], titles=(text("own"),), selected_index=None).add_class("wb-more")
        parts = [_heading("model"), self.model, self.pickers, *([] if self._given else [own])]
        model = w.VBox(parts).add_class("wb-panel")
        goal = w.VBox([_heading("goal"), self.goals, self.finding]).add_class("wb-panel")
        steps = w.VBox([w.HBox([_heading("steps"), self.undo]).add_class("wb-line"), self.editor]).add_class("wb-panel")
        knobs = w.VBox([model, goal, steps]).add_class("wb-knobs")
        left = w.VBox([knobs, self.forecast, self.cost, self.message, self.run_button]).add_class("wb-left")
        history = w.VBox([_heading("history"), self.history, self.counter]).add_class("wb-history")
        below = w.HBox([self.chosen.add_class("wb-panel"), history.add_class("wb-panel")]).add_class("wb-below")
        right = w.VBox([self.plot.add_class("wb-panel"), below]).add_class("wb-right")
        return [self.browser, self.header, w.HBox([left, right]).add_class("wb-page")]


def _soon(action: Callable[[], None]) -> None:
    """Do it a moment later: of a knob that still moves, the browser sends the last value only after the click."""
    try:
        asyncio.get_running_loop().call_later(SETTLE, action)
    except RuntimeError:  # no kernel, so nothing is on its way
        action()


def _heading(key: str) -> w.HTML:
    return w.HTML(f"<h2>{text(f'heading.{key}')}</h2>")


def _goal(name: str, study: Study) -> Recipe | None:
    try:
        return goal_recipe(name, study)
    except WorkbenchError:
        return None


def _served() -> bool:
    """Whether Voila shows this page, so that its address is ours."""
    return os.environ.get("WORKBENCH_BOKEH") == "served" or os.environ.get("SERVER_SOFTWARE", "").startswith("voila")
