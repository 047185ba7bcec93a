"""A recipe as cards: one for each step, in their order, to turn on and off, fold, move, add and remove."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape

import ipywidgets as w
import traitlets

from widgets.by_layer import LayerFacts
from widgets.controls import StepPanel
from widgets.said import said
from widgets.texts import text
from widgets.words import knob_words
from workbench import Recipe, Study, WorkbenchError
from workbench.steps import STEPS, Step

ADD = ""
log = logging.getLogger(__name__)


class RecipeEditor(w.VBox):
    """Every step with its knobs; `current` is the recipe as they stand.

    Parameters
    ----------
    steps : sequence of str
        The steps that have a card at first, by their key.
    """

    refusal = traitlets.Unicode("", help="Why the knobs make no recipe.")
    current = traitlets.Instance(Recipe, allow_none=True, help="The recipe as the knobs stand; None where it is none.")

    def __init__(self, steps: Sequence[str] = ()):
        self._study: Study | None = None
        self.cards: list[StepCard] = []
        self._loading, self._usual = False, tuple(steps)
        self._box = w.VBox()
        self.menu = w.Dropdown(
            options=[(text("editor.add"), ADD), *((step.__name__, key) for key, step in STEPS.items())],
            tooltip=text("editor.add.help"),
            layout=w.Layout(width="auto", flex="1"),
        )
        self.menu.observe(self._add_chosen, "value")
        self.seed = w.BoundedIntText(
            0,
            min=0,
            max=2**32 - 1,
            description=text("editor.seed"),
            tooltip=text("editor.seed.help"),
            style={"description_width": "40px"},
            layout=w.Layout(width="130px"),
        )
        self.seed.observe(lambda _: self._changed(), "value")
        self.order = w.HTML()
        fold = w.Accordion([self.order], titles=(text("editor.order"),), selected_index=None)
        fold.add_class("wb-more")
        super().__init__([self._box, w.HBox([self.menu, self.seed]), fold])
        self.add_class("wb-recipe")
        for key in steps:
            self.add(STEPS[key])

    def recipe(self) -> Recipe:
        """The recipe as the knobs stand; raises `WorkbenchError` where they make none."""
        return Recipe([step for card in self.cards if (step := card.step()) is not None], seed=self.seed.value)

    def load(self, recipe: Recipe) -> None:
        """Show a recipe; of the cards that have no part in it, those from the beginning stay below, switched off."""
        with self._at_once():
            spare = list(self.cards)
            cards = []
            for step in recipe:
                fitting = next((card for card in spare if card.declared is type(step)), None)
                card = fitting or self._new(type(step))
                if fitting:
                    spare.remove(fitting)
                card.load(step)
                cards.append(card)
            spare = [card for card in spare if card.declared.key() in self._usual]
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

    def fold(self, folded: bool) -> None:
        """Show each step in a line, or with its knobs."""
        for card in self.cards:
            card.unfolded.value = not folded

    def _new(self, step: type[Step]) -> "StepCard":
        card = StepCard(step, self._move, self._remove, self._look)
        card.on_change(self._changed)
        return card

    def about(self, study: Study | None) -> None:
        """Offer the layers of this study from now on."""
        self._study = study
        for card in self.cards:
            card.offer(LayerFacts({}))
        self._look()

    def _look(self) -> None:
        """Where somebody looks at layers, find them, in a thread, and offer them on every card."""
        study = self._study
        if study is not None and any(card.looked_into for card in self.cards):
            threading.Thread(target=self._offer, args=(study,), daemon=True).start()

    def _offer(self, study: Study) -> None:
        try:
            facts = LayerFacts.of(study)
        except Exception:  # without the table there is still the text
            log.exception("the layers could not be listed")
            return
        if study is self._study:
            for card in self.cards:
                card.offer(facts)

    def _add_chosen(self, change: dict) -> None:
        if change["new"] != ADD:
            self.add(STEPS[change["new"]]).unfolded.value = True
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
        self._changed()

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        self._loading = True
        try:
            yield
        finally:
            self._loading = False
            self._changed()

    def _changed(self) -> None:
        if self._loading:
            return
        try:
            recipe: Recipe | None = self.recipe()
            meaning = (recipe.meaning if recipe else []) or [text("editor.order.none")]
        except WorkbenchError as refusal:
            recipe, meaning = None, [str(refusal)]
        self.refusal = "" if recipe is not None else meaning[0]
        self.order.value = "".join(f"<p>{escape(said(sentence))}</p>" for sentence in meaning)
        self.current = recipe


class StepCard(StepPanel):
    """A step's panel that can be folded into a line, moved and removed."""

    def __init__(
        self,
        step: type[Step],
        move: "Callable[[StepCard, int], None]",
        remove: "Callable[[StepCard], None]",
        look: Callable[[], None] = lambda: None,
    ):
        self.unfolded = w.ToggleButton(
            value=False, layout=w.Layout(width="26px", height="24px"), tooltip=text("step.knobs", step=step.__name__)
        )
        self.gist = w.HTML()
        super().__init__(step, ask=look)
        self.up, self.down, self.out = (
            w.Button(
                description=sign,
                tooltip=text(f"step.{key}", step=step.__name__),
                layout=w.Layout(width="26px", height="24px"),
            )
            for sign, key in (("↑", "up"), ("↓", "down"), ("✕", "remove"))
        )
        self.up.on_click(lambda _: move(self, -1))
        self.down.on_click(lambda _: move(self, 1))
        self.out.on_click(lambda _: remove(self))
        self.unfolded.observe(self._show, "value")
        self.gist.add_class("wb-gist")
        head = w.HBox([self.unfolded, self.switch, self.gist, self.up, self.down, self.out])
        head.add_class("wb-head")
        self.children = [head, self.body]
        self.on_change(self._tell)
        self._show()
        self._tell()

    def _tell(self) -> None:
        try:
            step = self.step()
            self.gist.value = escape(knob_words(step)) if step else text("step.off")
        except WorkbenchError as refusal:
            self.gist.value = f"<span class='wb-bad'>{escape(said(str(refusal)))}</span>"

    def _show(self, change: object = None) -> None:
        shown = self.switch.value and self.unfolded.value
        if shown:
            self.controls  # noqa: B018 (made when first asked for)
        self.body.layout.display = "" if shown else "none"
        self.unfolded.description = "▾" if self.unfolded.value else "▸"
