"""A recipe as cards: one for each step, in their order, to turn on and off, move, add and remove."""

from collections.abc import Callable, Sequence
from html import escape

import ipywidgets as w

from widgets.controls import StepPanel
from workbench import Recipe, WorkbenchError
from workbench.steps import STEPS, Step

ADD = "Add a step…"


class RecipeEditor(w.VBox):
    """Every step with its knobs.

    Parameters
    ----------
    steps : sequence of str
        The steps that have a card at first, by their key.
    """

    def __init__(self, steps: Sequence[str] = ()):
        self.cards: list[StepCard] = []
        self._box = w.VBox()
        self.menu = w.Dropdown(
            options=[(ADD, ADD), *((step.__name__, key) for key, step in STEPS.items())],
            tooltip="Add a step to the end of the recipe",
            layout=w.Layout(width="auto", flex="1"),
        )
        self.menu.observe(self._add_chosen, "value")
        self.seed = w.BoundedIntText(
            0,
            min=0,
            max=2**32 - 1,
            description="Seed",
            tooltip="Seed: the same seed gives the same weights again.",
            style={"description_width": "40px"},
            layout=w.Layout(width="130px"),
        )
        self.order = w.HTML()
        fold = w.Accordion([self.order], titles=("What this order means",), selected_index=None)
        fold.add_class("wb-more")
        super().__init__([self._box, w.HBox([self.menu, self.seed]), fold])
        self.add_class("wb-recipe")
        for key in steps:
            self.add(STEPS[key])

    def recipe(self) -> Recipe:
        """The recipe as the knobs stand; raises `WorkbenchError` where they make none."""
        return Recipe([step for card in self.cards if (step := card.step()) is not None], seed=self.seed.value)

    def load(self, recipe: Recipe) -> None:
        """Show a recipe; cards that have no part in it stay below, switched off."""
        spare = list(self.cards)
        cards = []
        for step in recipe:
            fitting = next((card for card in spare if card.declared is type(step)), None)
            card = fitting or self._new(type(step))
            if fitting:
                spare.remove(fitting)
            card.load(step)
            cards.append(card)
        for card in spare:
            card.load(None)
        self.seed.value = recipe.seed
        self._show([*cards, *spare])

    def add(self, step: type[Step]) -> "StepCard":
        """A further card, at the end."""
        card = self._new(step)
        self._show([*self.cards, card])
        return card

    def card(self, key: str) -> "StepCard":
        """The first card of a step."""
        return next(card for card in self.cards if card.declared.key() == key)

    def _new(self, step: type[Step]) -> "StepCard":
        card = StepCard(step, self._move, self._remove)
        card.switch.observe(lambda _: self._explain(), "value")
        return card

    def _add_chosen(self, change: dict) -> None:
        if change["new"] != ADD:
            self.add(STEPS[change["new"]])
            self.menu.value = ADD

    def _move(self, card: "StepCard", by: int) -> None:
        cards = list(self.cards)
        at = cards.index(card)
        cards.insert(max(0, at + by), cards.pop(at))
        self._show(cards)

    def _remove(self, card: "StepCard") -> None:
        self._show([other for other in self.cards if other is not card])

    def _show(self, cards: "list[StepCard]") -> None:
        self.cards = cards
        self._box.children = cards
        for index, card in enumerate(cards):
            card.up.disabled, card.down.disabled = index == 0, index == len(cards) - 1
        self._explain()

    def _explain(self) -> None:
        try:
            said = self.recipe().meaning or ["One step alone, or steps that do not touch each other."]
        except WorkbenchError as refusal:
            said = [str(refusal)]
        self.order.value = "".join(f"<p>{escape(sentence)}</p>" for sentence in said)


class StepCard(StepPanel):
    """A step's panel that can be moved and removed."""

    def __init__(self, step: type[Step], move: "Callable[[StepCard, int], None]", remove: "Callable[[StepCard], None]"):
        super().__init__(step)
        name = step.__name__
        self.up, self.down, self.out = (
            w.Button(description=sign, tooltip=tip, layout=w.Layout(width="26px", height="24px"))
            for sign, tip in (
                ("↑", f"Move {name} up: do it earlier"),
                ("↓", f"Move {name} down: do it later"),
                ("✕", f"Remove {name} from the recipe"),
            )
        )
        self.up.on_click(lambda _: move(self, -1))
        self.down.on_click(lambda _: move(self, 1))
        self.out.on_click(lambda _: remove(self))
        self.switch.layout.flex = "1"
        head = w.HBox([self.switch, self.up, self.down, self.out])
        head.add_class("wb-head")
        self.children = [head, self.body]
