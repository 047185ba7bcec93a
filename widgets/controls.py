"""From the declaration of a knob to its control, and from a step to its panel."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import ipywidgets as w

from widgets.by_layer import LayerFacts, LayerFold, LayersField
from widgets.lessons import mark
from widgets.texts import text
from widgets.told import label_and_help, summary, unit
from workbench import WorkbenchError
from workbench.knobs import Knob, knobs
from workbench.steps import Step

WIDE = w.Layout(width="auto", min_width="0")
STYLE = {"description_width": "112px"}
USUAL = {"prune": "ratio", "quantize": "weight_bits"}
"""By step, the knob whose figure a layer has that has none of its own."""


def control(knob: Knob, step: str = "") -> w.Widget:
    """The control that suits a knob of a step: slider, list, switch or field, with its label, unit, range and help."""
    name, told = label_and_help(step, knob)
    label = f"{name} ({unit(knob)})" if knob.unit else name
    common = {"description": name, "tooltip": f"{label}: {told}", "layout": WIDE, "style": STYLE}
    if knob.kind == "choice":
        options = [(_choice_text(choice, knob), choice) for choice in knob.choices]
        return w.Dropdown(options=options, value=knob.default, **common)
    if knob.kind == "switch":
        return w.Checkbox(value=knob.default, indent=False, **common)
    if knob.kind == "layers":
        return LayersField(knob, step, **common)
    if knob.kind == "text":
        return w.Text(value=str(knob.default), continuous_update=False, **common)
    if knob.log:
        return _LogSlider(knob, **common)
    if knob.kind == "integer":
        low, high = int(knob.low or 0), int(knob.high or 1)
        kind = w.BoundedIntText if high - low > 200 else w.IntSlider
        return kind(value=knob.default, min=low, max=high, step=int(knob.step or 1), **common)
    if (knob.high or 0) > 1e6:
        return w.BoundedFloatText(value=knob.default, min=knob.low, max=knob.high, step=knob.step or 1.0, **common)
    return w.FloatSlider(
        value=knob.default,
        min=knob.low,
        max=knob.high,
        step=knob.step or 0.01,
        readout_format=".0%" if knob.kind == "share" else _format(knob.step or 0.01),
        **common,
    )


class _LogSlider(w.SelectionSlider):
    """A slider over round figures on a logarithmic scale, so that what it shows is what is used."""

    def __init__(self, knob: Knob, **common: Any):
        low, high = float(knob.low or 1e-6), float(knob.high or 1.0)
        figures = [float(f"{m}e{e}") for e in range(-6, 5) for m in (1, 2, 5)]
        self.figures = sorted({*(f for f in figures if low <= f <= high), float(knob.default)})
        super().__init__(options=_named(self.figures), value=float(knob.default), **common)

    def include(self, value: float) -> None:
        """Make a figure selectable that the scale lacks."""
        if value not in self.figures:
            self.figures = sorted([*self.figures, value])
            self.options = _named(self.figures)


def _named(figures: list[float]) -> list[tuple[str, float]]:
    return [(f"{figure:g}", figure) for figure in figures]


class StepPanel(w.VBox):
    """One step's controls: a switch, the knobs that matter, and the rest folded away.

    Parameters
    ----------
    step : type of Step
    on : bool
        Whether the step is part of the recipe at first.
    ask : callable
        Called when somebody wants to see the layers; `offer` is the answer.
    """

    def __init__(self, step: type[Step], on: bool = True, ask: Callable[[], None] = lambda: None):
        self.declared = step
        self.tables: list[LayersField] = []
        self.folds: list[LayerFold] = []
        self._ask, self._facts = ask, LayerFacts({})
        self._told: list[Callable[[], None]] = []
        self._held = step()  # what the knobs will say once they are there
        self.switch = w.Checkbox(
            value=on, description=step.__name__, tooltip=summary(step), indent=False, layout=w.Layout(width="auto")
        )
        self.switch.add_class("wb-switch")
        self.body = w.VBox()
        super().__init__([self.switch, self.body])
        self.add_class("wb-step")
        self.switch.observe(self._show, "value")
        self._show()

    @cached_property
    def controls(self) -> dict[str, w.Widget]:
        """By knob, its control. They are made when first asked for: most panels are never unfolded."""
        step = self.declared
        controls = {knob.name: control(knob, step.key()) for knob in knobs(step)}
        for name, widget in controls.items():
            _part(widget).add_class(mark(step.key(), name))
        self._fill(controls, self._held)
        self.tables = [widget for widget in controls.values() if isinstance(widget, LayersField)]
        self.folds = [LayerFold(table, self._ask) for table in self.tables]
        usual = controls.get(USUAL.get(step.key(), ""))
        for table in self.tables:
            table.offer(self._facts)
            if usual is not None:
                table.follow(float(usual.value))
        if usual is not None:
            usual.observe(lambda _: self._follow(), "value")
        for widget in controls.values():
            _part(widget).observe(lambda _: self._moved(), "value")
        plain = [controls[k.name] for k in knobs(step) if not k.advanced]
        folded = [controls[k.name] for k in knobs(step) if k.advanced and k.kind != "layers"]
        more = w.Accordion([w.VBox(folded)], titles=(text("step.more"),), selected_index=None)
        more.add_class("wb-more")
        self.body.children = [*plain, *([more] if folded else []), *self.folds]
        return controls

    @property
    def made(self) -> bool:
        """Whether the controls are there already."""
        return "controls" in vars(self)

    def step(self) -> Step | None:
        """The step as its knobs stand, or None where it is switched off."""
        if not self.switch.value:
            return None
        if not self.made:
            return self._held
        values = {name: _plain(self.declared, name, widget.value) for name, widget in self.controls.items()}
        return self.declared(**values)

    def load(self, step: Step | None) -> None:
        """Set the knobs as in `step`; None switches it off."""
        self.switch.value = step is not None
        if step is None:
            return
        if self.made:
            self._fill(self.controls, step)
        elif step != self._held:
            self._held = step
            self._moved()

    @staticmethod
    def _fill(controls: dict[str, w.Widget], step: Step) -> None:
        for name, value in step.model_dump().items():
            widget = controls[name]
            if isinstance(widget, _LogSlider):
                widget.include(value)
            if isinstance(widget, w.Dropdown) and value not in [v for _, v in widget.options]:
                widget.options = [*widget.options, (str(value), value)]
            widget.value = value

    @property
    def looked_into(self) -> bool:
        """Whether its table by layer is open."""
        return any(fold.selected_index == 0 for fold in self.folds)

    def offer(self, facts: LayerFacts) -> None:
        """Show the layers of a study."""
        self._facts = facts
        for table in self.tables:
            table.offer(facts)
        self._follow()

    def _follow(self) -> None:
        name = USUAL.get(self.declared.key(), "")
        for table in self.tables if self.made and name in self.controls else ():
            table.follow(float(self.controls[name].value))

    def on_change(self, told: Callable[[], None]) -> None:
        """Call a function whenever the switch or a knob is moved."""
        self._told.append(told)
        self.switch.observe(lambda _: told(), "value")

    def _moved(self) -> None:
        for told in self._told:
            told()

    def _show(self, change: object = None) -> None:
        self.body.layout.display = "" if self.switch.value else "none"


def _part(widget: w.Widget) -> w.Widget:
    return widget.field if isinstance(widget, LayersField) else widget


def _plain(step: type[Step], name: str, value: Any) -> Any:
    if step.model_fields[name].annotation is int:
        if float(value) != int(value):
            raise WorkbenchError(f"{step.__name__}'s {name} is {value}.", "Give a whole number.")
        return int(value)
    return value


def _choice_text(choice: Any, knob: Knob) -> str:
    return f"{choice} {unit(knob)}" if knob.unit else str(choice)


def _format(step: float) -> str:
    return ".4f" if step < 0.01 else ".2f" if step < 0.1 else ".1f"
