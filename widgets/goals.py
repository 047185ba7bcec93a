"""What the user wants: four goals, each of which fills in a recipe, or the knobs by hand."""

from collections.abc import Callable

import ipywidgets as w
import traitlets

from widgets.texts import text, translated
from workbench.goals import GOALS

OWN = "own"


class GoalButtons(w.VBox):
    """A button for each goal and one for the user's own way, with a sentence on what the chosen one does.

    Parameters
    ----------
    on_choice : callable
        Called with the goal's name, or with `OWN`.
    """

    chosen = traitlets.Unicode(OWN, help="The name of the goal that the knobs stand for.")

    def __init__(self, on_choice: Callable[[str], None]):
        titles = {name: translated("goal", name, goal.title) for name, goal in GOALS.items()} | {OWN: text("goal.own")}
        self._says = {name: translated("goal.says", name, goal.says) for name, goal in GOALS.items()}
        self._says[OWN] = text("goal.own.says")
        self.buttons = {
            name: w.ToggleButton(description=title, tooltip=self._says[name], layout=w.Layout(width="auto"))
            for name, title in titles.items()
        }
        for name, button in self.buttons.items():
            button.observe(lambda change, name=name: self._pressed(name), "value")
        self._marking = False
        self._on_choice = on_choice
        self.sentence = w.HTML()
        super().__init__([w.Box(list(self.buttons.values())).add_class("wb-goals"), self.sentence])
        self.observe(lambda _: self._mark(), "chosen")
        self._mark()

    def _pressed(self, name: str) -> None:
        if not self._marking:
            self.chosen = name
            self._mark()
            self._on_choice(name)

    def _mark(self) -> None:
        self._marking = True
        for name, button in self.buttons.items():
            button.value = name == self.chosen
        self._marking = False
        self.sentence.value = f"<p class='wb-hint'>{self._says[self.chosen]}</p>"
