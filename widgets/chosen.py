"""The chosen trial in tabs: what it costs and buys, what is inside, how it was made, and its files."""

from html import escape

import ipywidgets as w

from widgets.files import Exports, files_page, recipe_page
from widgets.foreseen import Foreseen
from widgets.inside import Ask, Flips, Layers, Question, Why
from widgets.long_work import Start
from widgets.result import ResultCard, title
from widgets.runtimes import Elsewhere
from widgets.sensitive import Sensitive
from widgets.texts import text
from workbench import Study, Trial

TABS = ("summary", "layers", "sensitivity", "flips", "why", "runtimes", "foreseen", "recipe", "files")
BASELINE = -1


class Chosen(w.VBox):
    """One trial, compared with the baseline or with any other; a page of it is made when it is looked at.

    Parameters
    ----------
    ask : callable
        As `widgets.inside.Question` takes it.
    start : callable
        As `widgets.long_work.LongWork` takes it.
    """

    def __init__(self, ask: Ask, start: Start):
        self.trial: Trial | None = None
        self.heading = w.HTML(layout=w.Layout(flex="1", min_width="0"))
        self.against = w.Dropdown(
            options=[(text("against.baseline"), BASELINE)],
            description=text("against"),
            tooltip=text("against.help"),
            layout=w.Layout(width="230px"),
            style={"description_width": "initial"},
        )
        self.card, self.layers, self.flips, self.why = ResultCard(), Layers(ask), Flips(ask), Why(ask)
        self.sensitive, self.elsewhere = Sensitive(start), Elsewhere(start)
        self.foreseen, self.recipe, self.files, self.exports = Foreseen(), w.HTML(), w.HTML(), Exports(ask)
        files = w.VBox([self.files, self.exports])
        inside = [self.layers, self.sensitive, self.flips, self.why, self.elsewhere]
        pages = [self.card, *inside, self.foreseen, self.recipe, files]
        self.tabs = w.Tab(pages, titles=tuple(text(f"tab.{tab}") for tab in TABS), selected_index=0)
        super().__init__([w.HBox([self.heading, self.against]).add_class("wb-chosen-head"), self.tabs])
        self.add_class("wb-chosen")
        self.tabs.observe(lambda _: self._look(), "selected_index")
        self.against.observe(lambda _: self._beside(), "value")
        self.clear()

    def clear(self) -> None:
        """Show no trial."""
        self.trial = None
        self.heading.value = f"<h3>{text('chosen.none')}</h3>"
        self.card.clear()
        for question in self._questions:
            question.about(None)
        self.sensitive.about(None)
        self.elsewhere.about(None)
        self.foreseen.value = self.recipe.value = self.files.value = ""
        self.against.layout.display = "none"

    def show(self, trial: Trial) -> None:
        """Show one trial; one that runs is shown again and again."""
        again = self.trial is not None and (self.trial.number, self.trial.state) == (trial.number, trial.state)
        self.trial = trial
        self.retitle()
        if again and not trial.finished:
            self.card.show(trial)
            return
        self.foreseen.value = self.recipe.value = self.files.value = ""
        self._offer(trial)
        self._beside()

    def retitle(self) -> None:
        """Call the trial what it is called now."""
        if self.trial is not None:
            named = text("chosen.title", number=self.trial.number, title=escape(title(self.trial)))
            self.heading.value = f"<h3>{named}</h3>"

    def side_by_side(self, trials: list[Trial]) -> None:
        """Several trials at once."""
        self.clear()
        self.heading.value = f"<h3>{text('chosen.several', count=len(trials))}</h3>"
        self.card.side_by_side(trials)
        self.tabs.selected_index = 0

    @property
    def _questions(self) -> tuple[Question, ...]:
        return self.layers, self.flips, self.why, self.exports

    def _offer(self, trial: Trial) -> None:
        """The other measured trials, which this one can be compared with."""
        others = [t for t in trial.study.trials if t.metrics and len(t.recipe) and t.number != trial.number]
        options, labels = [(text("against.baseline"), BASELINE)], trial.study.labels
        options += [(f"{t.number} · {title(t, labels)}", t.number) for t in reversed(others)]
        if list(self.against.options) != options:
            kept = self.against.value
            self.against.options = options
            self.against.value = kept if kept in [number for _, number in options] else BASELINE
        self.against.layout.display = "" if trial.metrics is not None and len(options) > 1 else "none"

    def _beside(self) -> None:
        if self.trial is None:
            return
        other = None if self.against.value in (None, BASELINE) else int(self.against.value)
        study: Study = self.trial.study
        self.card.show(self.trial, None if other is None else study.trial(other))
        for question in self._questions:
            question.about(self.trial, other)
        self.sensitive.about(self.trial)
        self.elsewhere.about(self.trial)
        self._look()

    def _look(self) -> None:
        """Fill the page that is open."""
        page = self.tabs.children[self.tabs.selected_index or 0]
        if isinstance(page, (Question, Sensitive, Elsewhere)):
            page.look()
        elif self.trial is not None and page is self.foreseen:
            self.foreseen.show(self.trial.study)
        elif self.trial is not None and page is self.recipe:
            page.value = page.value or recipe_page(self.trial)
        elif self.trial is not None and self.files in getattr(page, "children", ()):
            self.files.value = self.files.value or files_page(self.trial)
            self.exports.look()
