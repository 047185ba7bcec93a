"""From the declaration of a knob to its control, and from a step to its panel."""

from collections.abc import Callable
from typing import Any

import ipywidgets as w

from workbench import WorkbenchError
from workbench.knobs import Knob, knobs
from workbench.steps import Step

WIDE = w.Layout(width="auto", min_width="0")
STYLE = {"description_width": "112px"}


def control(knob: Knob) -> w.Widget:
    """The control that suits a knob: slider, list, switch or field, with its label, unit, range and help."""
    label = f"{knob.label} ({knob.unit})" if knob.unit else knob.label
    common = {"description": knob.label, "tooltip": f"{label}: {knob.help}", "layout": WIDE, "style": STYLE}
    if knob.kind == "choice":
        options = [(_choice_text(choice, knob), choice) for choice in knob.choices]
        return w.Dropdown(options=options, value=knob.default, **common)
    if knob.kind == "switch":
        return w.Checkbox(value=knob.default, indent=False, **common)
    if knob.kind == "layers":
        return LayersField(**common)
    if knob.kind == "text":
        return w.Text(value=str(knob.default), continuous_update=False, **common)
    if knob.log:
        return _LogSlider(knob, **common)
    if knob.kind == "integer":
        low, high = int(knob.low or 0), int(knob.high or 1)
        kind = w.BoundedIntText if high - low > 200 else w.IntSlider
        return kind(value=knob.default, min=low, max=high, step=int(knob.step or 1), **common)
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


class LayersField(w.VBox):
    """A figure for each layer that is named: ``conv1=0.3, fc1=0.9``."""

    def __init__(self, description: str, tooltip: str, **common: Any):
        self.description = description
        self.field = w.Text(description=description, tooltip=tooltip, placeholder="conv1=0.3, fc1=0.9", **common)
        super().__init__([self.field])  # with a tooltip of its own, a box fails in the browser

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


def _named(figures: list[float]) -> list[tuple[str, float]]:
    return [(f"{figure:g}", figure) for figure in figures]


class StepPanel(w.VBox):
    """One step's controls: a switch, the knobs that matter, and the rest folded away.

    Parameters
    ----------
    step : type of Step
    on : bool
        Whether the step is part of the recipe at first.
    """

    def __init__(self, step: type[Step], on: bool = True):
        self.declared = step
        self.controls = {knob.name: control(knob) for knob in knobs(step)}
        self.switch = w.Checkbox(
            value=on, description=step.__name__, tooltip=step.summary(), indent=False, layout=w.Layout(width="auto")
        )
        self.switch.add_class("wb-switch")
        plain = [self.controls[k.name] for k in knobs(step) if not k.advanced]
        folded = [self.controls[k.name] for k in knobs(step) if k.advanced]
        more = w.Accordion([w.VBox(folded)], titles=("More",), selected_index=None)
        more.add_class("wb-more")
        self.body = w.VBox([*plain, *([more] if folded else [])])
        super().__init__([self.switch, self.body])
        self.add_class("wb-step")
        self.switch.observe(self._show, "value")
        self._show()

    def step(self) -> Step | None:
        """The step as its knobs stand, or None where it is switched off."""
        if not self.switch.value:
            return None
        values = {name: _plain(self.declared, name, widget.value) for name, widget in self.controls.items()}
        return self.declared(**values)

    def load(self, step: Step | None) -> None:
        """Set the knobs as in `step`; None switches it off."""
        self.switch.value = step is not None
        if step is None:
            return
        for name, value in step.model_dump().items():
            widget = self.controls[name]
            if isinstance(widget, _LogSlider):
                widget.include(value)
            if isinstance(widget, w.Dropdown) and value not in [v for _, v in widget.options]:
                widget.options = [*widget.options, (str(value), value)]
            widget.value = value

    def on_change(self, told: Callable[[], None]) -> None:
        """Call a function whenever the switch or a knob is moved."""
        for widget in (self.switch, *self.controls.values()):
            part = widget.field if isinstance(widget, LayersField) else widget
            part.observe(lambda _: told(), "value")

    def _show(self, change: object = None) -> None:
        self.body.layout.display = "" if self.switch.value else "none"


def _plain(step: type[Step], name: str, value: Any) -> Any:
    if step.model_fields[name].annotation is int:
        if float(value) != int(value):
            raise WorkbenchError(f"{step.__name__}'s {name} is {value}.", "Give a whole number.")
        return int(value)
    return value


def _choice_text(choice: Any, knob: Knob) -> str:
    return f"{choice} {knob.unit}" if knob.unit else str(choice)


def _format(step: float) -> str:
    return ".4f" if step < 0.01 else ".2f" if step < 0.1 else ".1f"
