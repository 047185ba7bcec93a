"""A figure for each layer: as a text that anybody can write, and as a table once the layers are known."""

from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

import ipywidgets as w
import numpy as np

from widgets.texts import text
from workbench import Study, WorkbenchError
from workbench.knobs import Knob

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
BITS = (8, 6, 4, 3, 2, 1)
FLOATS = 32
USUAL = ""  # a list's value for "as the step says"; a list can't hold None
KINDS = {"prune": "ratio", "quantize": "bits"}
"""The steps whose effect on a single layer is measured, and the kind of figure."""


@dataclass(frozen=True)
class LayerFacts:
    """What the table shows of a study's layers.

    Attributes
    ----------
    names : dict of str to list of str
        By step.
    suffers : dict of (str, str) to list of (float, float)
        By kind of figure and layer: figures, and the accuracy of the whole model with that layer alone changed.
    """

    names: dict[str, list[str]]
    suffers: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study) -> "LayerFacts":
        """Those of a study, as far as they are known; takes about a second."""
        names = study.changeable()
        known = study.known_sensitivity()
        suffers: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for point in known.points if known else ():
            suffers.setdefault((point.kind, point.layer), []).append((point.value, point.accuracy.value))
        return cls(names, {key: sorted(points) for key, points in suffers.items()})

    def alone(self, kind: str, layer: str, figure: float) -> float | None:
        """The accuracy with this layer alone at this figure, between measured ones along a line; None if unknown."""
        points = self.suffers.get((kind, layer))
        if not points or not points[0][0] <= figure <= points[-1][0]:
            return None
        figures, shares = zip(*points, strict=True)
        return float(np.interp(figure, figures, shares))


class LayersField(w.VBox):
    """A figure for each layer that is named: ``conv1=0.3, fc1=0.9``.

    The text is what counts; the table writes it, and shows it.

    Parameters
    ----------
    knob : Knob
    step : str
        The step's key.
    """

    def __init__(self, knob: Knob, step: str = "", **common: Any):
        self.description = common["description"]
        self._bits = (knob.high or 0) > 1
        self._keep = FLOATS if knob.high == FLOATS else 0 if not self._bits else None
        self._step, self._facts = step, LayerFacts({})
        self._usual: float | None = None
        self._filling = False
        self.lists: dict[str, w.Dropdown] = {}
        self.hints: dict[str, w.HTML] = {}
        common["placeholder"] = "conv1=4, fc1=2" if self._bits else "conv1=0.3, fc1=0.9"
        self.field = w.Text(continuous_update=False, **common)
        self.rows = w.VBox().add_class("wb-layers")
        super().__init__([self.rows, self.field])  # with a tooltip of its own, a box fails in the browser
        self.field.observe(lambda _: self._fill(), "value")

    @property
    def value(self) -> dict[str, float]:
        """The table; raises `WorkbenchError` on a text that is none."""
        table = {}
        for entry in filter(None, (part.strip() for part in self.field.value.split(","))):
            name, _, figure = (part.strip() for part in entry.partition("="))
            try:
                table[name] = float(figure)
            except ValueError:
                name = ""
            if not name:
                raise WorkbenchError(
                    f"{self.description}: '{entry}' names no layer and figure.",
                    "Write layer=figure, such as conv1=0.3.",
                )
        return table

    @value.setter
    def value(self, table: dict[str, float]) -> None:
        self.field.value = ", ".join(f"{name}={figure:g}" for name, figure in table.items())

    def offer(self, facts: LayerFacts) -> None:
        """Show the layers as a table."""
        self._facts = facts
        names = facts.names.get(self._step, [])
        if list(self.lists) != names:
            self.lists = {name: self._list(name) for name in names}
            self.hints = {name: w.HTML() for name in names}
            self.rows.children = [
                w.HBox([w.HTML(f"<span>{escape(name)}</span>"), self.lists[name], self.hints[name]])
                for name in self.lists
            ]
        self._fill()

    def follow(self, usual: float) -> None:
        """Layers without a figure of their own get this one."""
        self._usual = usual
        self._hint()

    def _list(self, name: str) -> w.Dropdown:
        figures = BITS if self._bits else RATIOS
        options: list[tuple[str, float | str]] = [(text("layers.usual"), USUAL)]
        options += [(text("layers.keep"), self._keep)] if self._keep is not None else []
        options += [(self._said(figure), figure) for figure in figures]
        label = f"{self.description}: {name}"
        chosen = w.Dropdown(options=options, value=USUAL, tooltip=label, layout=w.Layout(width="auto", min_width="0"))
        chosen.observe(lambda change: self._pick(name, change["new"]), "value")
        return chosen

    def _said(self, figure: float) -> str:
        return text("layers.bits", count=f"{figure:g}") if self._bits else f"{figure:.0%}"

    def _pick(self, name: str, figure: float | str) -> None:
        if self._filling:
            return
        try:
            table = self.value
        except WorkbenchError:  # what was written makes no table: the list does
            table = {}
        table.pop(name, None)
        self.value = table if figure == USUAL else table | {name: float(figure)}

    def _fill(self) -> None:
        """Show in the table what the text says."""
        try:
            table = self.value
        except WorkbenchError:  # the card says so
            return
        self._filling = True
        try:
            for name, chosen in self.lists.items():
                figure: Any = table.get(name, USUAL)
                if figure not in [value for _, value in chosen.options]:
                    chosen.options = [*chosen.options, (self._said(figure), figure)]
                chosen.value = figure
        finally:
            self._filling = False
        self._hint()

    def _hint(self) -> None:
        kind = KINDS.get(self._step, "")
        for name, hint in self.hints.items():
            own = self.lists[name].value
            figure = self._usual if own == USUAL else own
            alone = None if figure is None else self._facts.alone(kind, name, figure)
            told = "" if alone is None else text("layers.alone", accuracy=f"{alone:.1%}")
            hint.value = f"<span class='wb-hint' title='{text('layers.alone.help')}'>{told}</span>"


class LayerFold(w.Accordion):
    """The table of a card, folded away; when it is opened it asks for the layers.

    Parameters
    ----------
    inside : LayersField
    ask : callable
        Called when somebody opens it.
    """

    def __init__(self, inside: LayersField, ask: Callable[[], None]):
        super().__init__([w.VBox([inside])], titles=(text("layers"),), selected_index=None)
        self.add_class("wb-more")
        self.observe(lambda change: ask() if change["new"] == 0 else None, "selected_index")
