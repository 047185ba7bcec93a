"""Undo and redo of what was done to the knobs."""

import time
from collections.abc import Callable

import ipywidgets as w

from widgets.texts import text
from workbench import Recipe

AT_ONCE = 1.0  # seconds within which changes are one: a slider that is drawn
MOST = 200


class Undo(w.HBox):
    """Two buttons over every recipe that the knobs stood for.

    Parameters
    ----------
    load : callable
        Sets the knobs as in a recipe.
    """

    def __init__(self, load: Callable[[Recipe], None]):
        self._load = load
        self._past: list[Recipe] = []
        self._future: list[Recipe] = []
        self._now: Recipe | None = None
        self._moving, self._last = False, 0.0
        self.undo, self.redo = (
            w.Button(description=sign, tooltip=text(key), layout=w.Layout(width="34px"))
            for sign, key in (("↶", "undo"), ("↷", "redo"))
        )
        self.undo.add_class("wb-undo").on_click(lambda _: self._go(self._past, self._future))
        self.redo.add_class("wb-redo").on_click(lambda _: self._go(self._future, self._past))
        super().__init__([self.undo, self.redo])
        self._tell()

    def note(self, recipe: Recipe | None) -> None:
        """The knobs stand for another recipe now, or for none: that is left behind at once, and never come back to."""
        if self._moving or recipe == self._now:
            return
        together = recipe is not None and time.monotonic() - self._last < AT_ONCE and self._past
        if self._now is not None and not together:
            self._past = [*self._past, self._now][-MOST:]
        self._now, self._future, self._last = recipe, [], time.monotonic()
        self._tell()

    def forget(self, recipe: Recipe | None) -> None:
        """Begin anew with this recipe."""
        self._past, self._future, self._now = [], [], recipe
        self._tell()

    def settle(self) -> None:
        """The next change is one of its own, however soon it comes."""
        self._last = 0.0

    def _go(self, source: list[Recipe], target: list[Recipe]) -> None:
        if not source:
            return
        if self._now is not None:
            target.append(self._now)
        self._now, self._moving = source.pop(), True
        self._tell()  # first: who sees the knobs move may press again at once
        try:
            self._load(self._now)
        finally:
            self._moving, self._last = False, 0.0

    def _tell(self) -> None:
        self.undo.disabled, self.redo.disabled = not self._past, not self._future
