"""The panels one by one, for a notebook: each with its study, its style and its theme, among any ipywidgets."""

from concurrent.futures import Future
from typing import Any

import ipywidgets as w

from widgets import history, inside, recipe_editor, result, tradeoff
from widgets.browser import Browser
from widgets.following import follow
from widgets.pool import workers
from widgets.texts import text
from workbench import Study, Trial, WorkbenchError
from workbench.goals import goal_recipe
from workbench.questions import Answer

FIRST_GOAL = "balanced"


class TradeoffPlot(tradeoff.TradeoffPlot):
    """Every measured trial of a study, and those that come; a tap sets `selected`, a box `boxed`.

    Parameters
    ----------
    study : Study

    Examples
    --------
    >>> plot = TradeoffPlot(study)
    >>> plot.observe(lambda change: print(study.trial(change["new"])), "selected")
    """

    def __init__(self, study: Study):
        super().__init__(study)
        browser = _alone(self)
        browser.observe(lambda change: self.dress(change["new"]), "dark")
        browser.observe(lambda _: self.drawing.renew(), "seen")
        follow(self, lambda: study, lambda: self.show(study))


class TrialHistory(history.TrialHistory):
    """Every finished trial of a study as a tree, and those that come; `selected` is the chosen one.

    Parameters
    ----------
    study : Study
    """

    def __init__(self, study: Study):
        super().__init__(study, guard=self._tell)
        self.said = w.HTML()
        _alone(self, self.said)
        follow(self, lambda: study, lambda: self.show(study))

    def _tell(self, action: Any) -> None:
        self.said.value = ""
        try:
            action()
        except WorkbenchError as error:
            self.said.value = inside.sorry(error)


class RecipeEditor(recipe_editor.RecipeEditor):
    """The knobs of a recipe; `current` is the recipe as they stand.

    Parameters
    ----------
    study : Study, optional
        Its balanced recipe is filled in at first.

    Examples
    --------
    >>> editor = RecipeEditor(study)
    >>> editor.observe(lambda change: print(change["new"]), "current")
    >>> trial = study.run(editor.recipe())
    """

    def __init__(self, study: Study | None = None):
        super().__init__(("prune", "distill", "quantize"))
        if study is not None:
            self.about(study)
            self.load(goal_recipe(FIRST_GOAL, study))
        _alone(self)


class LayerTable(inside.Layers):
    """What a trial changed, layer by layer; `answer` holds the rows once the worker has looked.

    Parameters
    ----------
    trial : Trial
    against : Trial, optional
        What it is compared with; the baseline if left out.
    """

    def __init__(self, trial: Trial, against: Trial | None = None):
        super().__init__(_ask)
        _alone(self)
        self.about(trial, _number(trial, against))
        self.look()


class Flips(inside.Flips):
    """The samples that trial `b` answers otherwise than trial `a`, with their pictures.

    Parameters
    ----------
    a, b : Trial
        Complete trials of one study.
    """

    def __init__(self, a: Trial, b: Trial):
        super().__init__(_ask)
        _alone(self)
        self.about(b, _number(b, a))
        self.look()


class ResultCard(w.VBox):
    """What a trial costs and buys, in figures and in words.

    Parameters
    ----------
    trial : Trial
    against : Trial, optional
        What it is compared with; the baseline if left out.
    """

    def __init__(self, trial: Trial, against: Trial | None = None):
        self.card = result.ResultCard()
        super().__init__([self.card])
        _alone(self)
        self.card.show(trial, against)


def _alone(panel: Any, *more: w.Widget) -> Browser:
    """Give a panel what the page has: the style, the theme of its surroundings, and names for its handles."""
    browser = Browser(copied=text("copied"))
    panel.children = (*panel.children, *more, browser)
    panel.add_class("wb-app").add_class("wb-single")
    return browser


def _ask(trial: Trial, question: str, against: int | None) -> "Future[Answer]":
    return workers().ask(trial.study, trial.number, question, against)


def _number(trial: Trial, other: Trial | None) -> int | None:
    """The number of the trial to compare with, or None for the baseline."""
    if other is not None and other.study.path != trial.study.path:
        raise WorkbenchError(
            f"Trial {other.number} is of another study than trial {trial.number}.", "Compare trials of one study."
        )
    return None if other is None or not len(other.recipe) else other.number
