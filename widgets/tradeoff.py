"""The trade-off plots: accuracy against file size, and against latency."""

import math
from collections.abc import Sequence
from typing import Any

import ipywidgets as w
import traitlets
from bokeh.layouts import row
from bokeh.models import ColumnDataSource, CustomJSTickFormatter, HoverTool, NumeralTickFormatter
from bokeh.plotting import figure
from jupyter_bokeh import BokehModel

from widgets.bokeh_script import load_bokeh
from widgets.words import recipe_words
from workbench import Study, Trial
from workbench.metrics import bytes_text

# Okabe and Ito's palette, which colour-blind people can tell apart; shapes differ as well.
METHODS = {
    "Baseline": ("#000000", "star"),
    "Prune": ("#0072B2", "circle"),
    "Train": ("#009E73", "triangle"),
    "Quantize": ("#E69F00", "square"),
    "Prune + Train": ("#56B4E9", "diamond"),
    "Prune + Quantize": ("#D55E00", "hex"),
    "Train + Quantize": ("#F0E442", "inverted_triangle"),
    "Prune + Train + Quantize": ("#CC79A7", "plus"),
}
COLUMNS = (
    *("number", "size", "latency", "latency_low", "latency_high", "accuracy", "accuracy_low", "accuracy_high"),
    *("method", "color", "marker", "dot", "recipe", "size_text", "accuracy_text", "latency_text"),
)
HOVER = """<div style="max-width:280px;font:12px sans-serif;color:#222"><b>Trial @number</b> &middot; @recipe<br>
accuracy @accuracy_text<br>file @size_text<br>@latency_text</div>"""
BYTES = """
const [size, unit] = tick < 1e3 ? [tick, "B"] : tick < 1e6 ? [tick / 1e3, "kB"] : [tick / 1e6, "MB"]
return Number(size.toPrecision(3)) + " " + unit
"""


def method(trial: Trial) -> str:
    """The kind of recipe, for colour and shape."""
    kinds = {kind for step in trial.recipe for kind in step.kinds}
    return " + ".join(name for name in ("Prune", "Train", "Quantize") if name in kinds) or "Baseline"


class CurrentBokehModel(BokehModel):
    """A Bokeh model that a page which comes later sees as it is then, not as it was made."""

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> Any:
        self._trait_values["render_bundle"] = self._model_to_traits(self._model)
        return super().get_state(key, drop_defaults)


class TradeoffPlot(w.VBox):
    """Every measured trial of a study, the baseline and the Pareto line; `selected` is the trial that was tapped.

    Parameters
    ----------
    study : Study, optional
    """

    selected = traitlets.Int(allow_none=True, default_value=None, help="The number of the trial that was tapped.")

    def __init__(self, study: Study | None = None):
        self.source = ColumnDataSource({name: [] for name in COLUMNS})
        self.fronts = {x: ColumnDataSource({"x": [], "y": []}) for x in ("size", "latency")}
        self.figures = [
            self._figure("size", "File size", "log"),
            self._figure("latency", "Latency in ms, on the baseline's scale", "linear"),
        ]
        self.figures[1].y_range = self.figures[0].y_range
        self.source.selected.on_change("indices", self._tapped)
        load_bokeh()
        layout = row(*self.figures, sizing_mode="stretch_width")
        if study is not None:
            self.show(study)
        super().__init__([CurrentBokehModel(layout)])
        self.add_class("wb-plot")

    def show(self, study: Study) -> None:
        """Draw the study as it is now."""
        trials = [t for t in study.trials if t.state == "complete"]
        baseline = next((t for t in trials if not len(t.recipe)), None)
        rows = [_row(t, baseline) for t in trials] if baseline else []
        columns: dict[str, list] = {name: [r[name] for r in rows] for name in COLUMNS}
        if any(columns[name] != list(self.source.data[name]) for name in COLUMNS):
            self.source.data = columns
        for x, front in self.fronts.items():
            objective = "size_bytes" if x == "size" else "latency"
            best = {t.number for t in study.pareto(["accuracy", objective])} if rows else set()
            points = sorted((r[x], r["accuracy"]) for r in rows if r["number"] in best)
            line = {"x": [p[0] for p in points], "y": [p[1] for p in points]}
            if line != front.data:
                front.data = line

    def mark(self, number: int | None) -> None:
        """Highlight a trial, or none."""
        self.selected = number
        numbers = list(self.source.data["number"])
        wanted = [numbers.index(number)] if number in numbers else []
        if list(self.source.selected.indices) != wanted:
            self.source.selected.indices = wanted

    def _tapped(self, attribute: str, old: Sequence[int], new: Sequence[int]) -> None:
        if new:
            self.selected = int(self.source.data["number"][new[0]])

    def _figure(self, x: str, title: str, scale: str) -> Any:
        plot = figure(
            height=360,
            sizing_mode="stretch_width",
            x_axis_type=scale,  # type: ignore[arg-type]
            x_axis_label=title,
            y_axis_label="Accuracy (validation)",
            tools="pan,wheel_zoom,box_zoom,tap,reset,save",
            active_scroll=None,
            toolbar_location="above",
            title="Accuracy against " + ("file size" if x == "size" else "latency"),
        )
        plot.yaxis.formatter = NumeralTickFormatter(format="0.0%")
        if x == "size":
            plot.xaxis.formatter = CustomJSTickFormatter(code=BYTES)
        plot.step("x", "y", source=self.fronts[x], mode="after", line_color="#999999", line_dash="dashed")
        plot.segment(x, "accuracy_low", x, "accuracy_high", source=self.source, line_color="color", line_width=1.5)
        if x == "latency":
            plot.segment("latency_low", "accuracy", "latency_high", "accuracy", source=self.source, line_color="color")
        points = plot.scatter(
            x,
            "accuracy",
            source=self.source,
            marker="marker",
            size="dot",
            color="color",
            line_color="#333333",
            fill_alpha=0.9,
            legend_field="method",
            nonselection_fill_alpha=0.45,
        )
        plot.add_tools(HoverTool(renderers=[points], tooltips=HOVER))
        plot.legend.location = "bottom_right"
        plot.legend.background_fill_alpha = 0.6
        plot.legend.label_text_font_size = "11px"
        if x == "latency":
            plot.legend.visible = False
        plot.toolbar.logo = None
        return plot


def _row(trial: Trial, baseline: Trial) -> dict[str, Any]:
    m, b = trial.metrics, baseline.metrics
    assert m is not None and b is not None and b.latency is not None
    color, marker = METHODS[method(trial)]
    out: dict[str, Any] = {
        "number": trial.number,
        "size": m.size_bytes,
        "accuracy": m.accuracy.value,
        "accuracy_low": m.accuracy.low,
        "accuracy_high": m.accuracy.high,
        "method": method(trial),
        "color": color,
        "marker": marker,
        "dot": 20 if marker == "star" else 13,
        "recipe": recipe_words(trial.recipe),
        "size_text": bytes_text(m.size_bytes),
        "accuracy_text": f"{m.accuracy.value:.2%} [{m.accuracy.low:.2%}, {m.accuracy.high:.2%}]",
    }
    if m.speedup is None and len(trial.recipe):
        text = "speed not claimed: simulated" if m.simulated else "speed not compared: run by another runtime"
        out |= dict.fromkeys(("latency", "latency_low", "latency_high"), math.nan)
    elif m.speedup is None:
        latency = b.latency
        text = f"latency {latency.value:.3g} ms"
        out |= {"latency": latency.value, "latency_low": latency.low, "latency_high": latency.high}
    else:
        # only paired figures are comparable: the baseline's latency divided by the paired speed-up
        s, whole = m.speedup, b.latency.value
        text = f"latency {whole / s.value:.3g} ms: {s.value:.2f}x [{s.low:.2f}, {s.high:.2f}], {m.verdict}"
        out |= {"latency": whole / s.value, "latency_low": whole / s.high, "latency_high": whole / s.low}
    return out | {"latency_text": text}
