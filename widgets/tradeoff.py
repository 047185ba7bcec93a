"""The trade-off plots: accuracy against file size, and against latency."""

from collections.abc import Sequence
from typing import Any

import ipywidgets as w
import traitlets
from bokeh.layouts import row
from bokeh.models import (
    BasicTickFormatter,
    BoxSelectTool,
    ColumnDataSource,
    CustomJSTickFormatter,
    HoverTool,
    LinearScale,
    LogTicker,
    NoOverlap,
    NumeralTickFormatter,
    Range1d,
    TapTool,
)
from bokeh.plotting import figure
from jupyter_bokeh import BokehModel

from widgets.bokeh_script import load_bokeh
from widgets.corner import free_corner
from widgets.points import COLUMNS, margin, point
from widgets.texts import text, translated
from workbench import Study
from workbench.estimates import Score

AHEAD = (
    *("size", "size_low", "size_high", "latency", "latency_low", "latency_high"),
    *("accuracy", "accuracy_low", "accuracy_high", "told"),
)
BOX = "max-width:280px;font:12px sans-serif;color:#222"
HOVER = f"""<div style="{BOX}"><b>@number</b> &middot; @recipe<br>@accuracy_text<br>@size_text<br>@latency_text</div>"""
LOST = f"""<div style="{BOX}"><b>@number</b> &middot; @recipe<br>@reason</div>"""
BYTES = """
const [size, unit] = tick < 1e3 ? [tick, "B"] : tick < 1e6 ? [tick / 1e3, "kB"] : [tick / 1e6, "MB"]
return Number(size.toPrecision(3)) + " " + unit
"""
INK = {False: ("#ffffff", "#1c2430", "#e3e7ec", "#8b95a3"), True: ("#1b2027", "#e6e9ee", "#343b46", "#8b95a3")}
"""By darkness: ground, ink, grid, Pareto line."""


class CurrentBokehModel(BokehModel):
    """A Bokeh model that a page which comes later sees as it is then, not as it was made.

    Changes are told to a page as they happen; what is told before the page shows the plot is lost, hence `renew`.
    """

    _stale = False

    def renew(self) -> None:
        """Send the whole model again, where it changed since it was sent."""
        if self._stale:
            self.send_state("render_bundle")

    def _document_patched(self, event: Any) -> None:
        self._stale = True
        super()._document_patched(event)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> Any:
        bundle = self._model_to_traits(self._model)
        _free(bundle["docs_json"])
        self._trait_values["render_bundle"] = bundle
        self._stale = False
        return super().get_state(key, drop_defaults)


def _free(part: Any) -> None:
    """Let scales find their ends anew: those that an earlier page found would hold for good."""
    if isinstance(part, dict):
        if part.get("name") == "DataRange1d":
            for end in ("start", "end"):
                part.get("attributes", {}).pop(end, None)
        for inner in part.values():
            _free(inner)
    elif isinstance(part, list):
        for inner in part:
            _free(inner)


class TradeoffPlot(w.VBox):
    """Every measured trial of a study, the baseline and the Pareto line; failed trials lie on the margin.

    `selected` is the trial that was tapped; `boxed` are those that were selected together.

    Parameters
    ----------
    study : Study, optional
    dark : bool
        As `dress` takes it.
    """

    selected = traitlets.Int(allow_none=True, default_value=None, help="The number of the trial that was tapped.")
    boxed: Any = traitlets.List(help="The numbers of the trials in the box that was drawn, where it holds several.")

    def __init__(self, study: Study | None = None, dark: bool = False):
        self.source = ColumnDataSource({name: [] for name in COLUMNS})
        self.failed = ColumnDataSource({name: [] for name in ("number", "place", "height", "recipe", "reason")})
        self.ahead = ColumnDataSource({name: [] for name in AHEAD})
        self.fronts = {x: ColumnDataSource({"x": [], "y": []}) for x in ("size", "latency")}
        self._marking = False
        self.source.selected.on_change("indices", self._tapped)
        self.failed.selected.on_change("indices", self._tapped_margin)
        load_bokeh()
        self._dark = dark
        self.logs = {x: _log(x, on=x == "size") for x in self.fronts}
        if study is not None:
            self.show(study)
        self.figures = [self._scaled(x) for x in self.fronts]
        self.figures[1].y_range = self.figures[0].y_range
        self._row = row(*self.figures, sizing_mode="stretch_width")
        self.dress(dark)
        self.drawing = CurrentBokehModel(self._row)
        super().__init__([_tools(), *self.logs.values(), self.drawing])
        self.add_class("wb-plot")
        for place, (x, log) in enumerate(self.logs.items()):
            log.observe(lambda _, place=place, x=x: self._rescale(place, x), "value")

    def _scaled(self, x: str) -> Any:
        return self._figure(x, text(f"plot.{x}"), "log" if self.logs[x].value else "linear")

    def _rescale(self, place: int, x: str) -> None:
        """Draw one figure anew, as an axis can't change its scale."""
        figure = self._scaled(x)
        figure.y_range = self.figures[1 - place].y_range
        self.figures[place] = figure
        self.dress(self._dark)
        self._row.children = list(self.figures)

    def show(self, study: Study) -> None:
        """Draw the study as it is now."""
        everything = study.trials
        trials = [t for t in everything if t.state == "complete"]
        baseline = next((t for t in trials if not len(t.recipe)), None)
        rows = [point(t, baseline) for t in trials] if baseline else []
        columns: dict[str, list] = {name: [r[name] for r in rows] for name in COLUMNS}
        _draw(self.source, columns)
        if baseline and baseline.metrics:
            self._scale(baseline.metrics.score)
        lost = margin([t for t in everything if t.finished and t.state != "complete"])
        if lost != dict(self.failed.data):
            self.failed.data = lost
        for x, front in self.fronts.items():
            objective = "size_bytes" if x == "size" else "latency"
            best = {t.number for t in study.pareto(["score", objective])} if rows else set()
            points = sorted((r[x], r["accuracy"]) for r in rows if r["number"] in best)
            line = {"x": [p[0] for p in points], "y": [p[1] for p in points]}
            if line != front.data:
                front.data = line

        if hasattr(self, "figures"):
            self._place_legend(self.figures[0])

    def _place_legend(self, plot: Any) -> None:
        x, y, below = (
            list(data[name])
            for data, name in ((self.source.data, "size"), (self.source.data, "accuracy"), (self.failed.data, "place"))
        )
        location = free_corner(x, y, log=self.logs["size"].value, below=below)
        if plot.legend.location != location:
            plot.legend.location = location

    def _scale(self, score: Score) -> None:
        """Name the vertical axis after the score, what is better above."""
        if score.name == "accuracy":
            return
        name = translated("score", score.name, score.title)
        for plot in self.figures:
            plot.yaxis.axis_label = text("plot.score", name=name)
            plot.yaxis.formatter = BasicTickFormatter()
            plot.y_range.flipped = score.better < 0

    def foresee(self, ahead: dict[str, Any] | None) -> None:
        """Show where a recipe would land, hollow, with its intervals; None shows nothing."""
        self.ahead.data = {name: [ahead[name]] if ahead else [] for name in AHEAD}

    def mark(self, number: int | None) -> None:
        """Highlight a trial, or none."""
        self.selected = number
        self._marking = True
        try:
            for source in (self.source, self.failed):
                numbers = list(source.data["number"])
                wanted = [numbers.index(number)] if number in numbers else []
                if list(source.selected.indices) != wanted:
                    source.selected.indices = wanted
        finally:
            self._marking = False

    def dress(self, dark: bool) -> None:
        """Draw in the colours of the light or of the dark theme."""
        self._dark = dark
        ground, ink, grid, front = INK[dark]
        self._row.styles = {"background": ground}
        for plot in self.figures:
            plot.background_fill_color = plot.border_fill_color = ground
            plot.styles = {"background": ground}  # shines through at the edges of the canvas
            plot.outline_line_color = grid
            plot.title.text_color = ink
            for axis in plot.axis:
                axis.axis_label_text_color = axis.major_label_text_color = ink
                axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = front
            for lines in plot.grid:
                lines.grid_line_color = grid
            plot.legend.label_text_color = ink
            plot.legend.background_fill_color = ground
            plot.legend.border_line_color = grid

    def _tapped(self, attribute: str, old: Sequence[int], new: Sequence[int]) -> None:
        if self._marking:
            return
        numbers = [int(self.source.data["number"][index]) for index in new]
        if len(numbers) == 1:
            self.selected = numbers[0]
        self.boxed = numbers if len(numbers) > 1 else []

    def _tapped_margin(self, attribute: str, old: Sequence[int], new: Sequence[int]) -> None:
        if new and not self._marking:
            self.selected = int(self.failed.data["number"][new[0]])

    def _figure(self, x: str, title: str, scale: str) -> Any:
        plot: Any = figure(
            height=310,
            sizing_mode="stretch_width",
            x_axis_type=scale,  # type: ignore[arg-type]
            x_axis_label=title,
            y_axis_label=text("plot.accuracy"),
            tools="pan,wheel_zoom,box_zoom,box_select,tap,reset,save",
            active_scroll=None,
            toolbar_location="above",
            title=text(f"plot.title.{x}"),
        )
        plot.y_range.range_padding = 0.15
        plot.x_range.range_padding = 0.15
        plot.yaxis.formatter = NumeralTickFormatter(format="0.0%")
        if x == "size":
            plot.xaxis.formatter = CustomJSTickFormatter(code=BYTES)
        elif scale == "log":
            plot.xaxis.formatter = NumeralTickFormatter(format="0.[0000]")
        if scale == "log":
            plot.xaxis.ticker = LogTicker(mantissas=[1, 2, 5], desired_num_ticks=4)
        else:
            plot.xaxis.ticker.desired_num_ticks = 5
        plot.xaxis.major_label_policy = NoOverlap(min_distance=6)
        plot.extra_x_ranges = {"margin": Range1d(start=0, end=1)}
        plot.extra_y_ranges = {"margin": Range1d(start=0, end=1)}
        plot.extra_x_scales = plot.extra_y_scales = {"margin": LinearScale()}
        plot.step("x", "y", source=self.fronts[x], mode="after", line_color="#8b95a3", line_dash="dashed")
        bars = {"source": self.source, "line_color": "color", "line_width": 1.5, "nonselection_line_alpha": 0.5}
        plot.segment(x, "accuracy_low", x, "accuracy_high", **bars)
        if x == "latency":
            plot.segment("latency_low", "accuracy", "latency_high", "accuracy", **bars)
        points = plot.scatter(
            x,
            "accuracy",
            source=self.source,
            marker="marker",
            size="dot",
            color="color",
            line_color="#333333",
            fill_alpha=0.95,
            legend_field="method",
            nonselection_fill_alpha=0.8,
            nonselection_line_alpha=0.6,
            selection_line_color="#d1345b",
            selection_line_width=3,
        )
        lost = plot.scatter(
            "place",
            "height",
            source=self.failed,
            marker="x",
            size=9,
            line_width=2,
            color="#b34700",
            x_range_name="margin",
            y_range_name="margin",
        )
        where = _ahead(plot, x, self.ahead)
        for extent in (plot.x_range, plot.y_range):  # neither the margin nor the doubt of a prediction moves the scales
            extent.renderers = [r for r in plot.renderers if r.data_source is self.source or r is where]
        plot.add_tools(
            HoverTool(renderers=[points], tooltips=HOVER),
            HoverTool(renderers=[lost], tooltips=LOST),
            HoverTool(renderers=[where], tooltips=f'<div style="{BOX}">@told</div>'),
        )
        plot.select_one(BoxSelectTool).renderers = [points]
        plot.select_one(TapTool).renderers = [points, lost]
        self._place_legend(plot)
        plot.legend.background_fill_alpha = 0.6
        plot.legend.label_text_font_size = "11px"
        plot.legend.spacing, plot.legend.padding, plot.legend.margin = 0, 4, 6
        plot.legend.label_height = plot.legend.glyph_height = 15
        plot.legend.visible = x == "size"
        plot.toolbar.logo = None
        return plot


def _tools() -> w.HTML:
    """What the browser does with the plots by itself."""
    buttons = "".join(
        f"<button type='button' class='wb-copy' data-{kind}='{kind}' title='{text(f'plot.{kind}.help')}'>"
        f"{text(f'plot.{kind}')}</button>"
        for kind in ("csv", "svg", "full")
    )
    return w.HTML(f"<div class='wb-plot-tools'>{buttons}</div>")


def _log(x: str, on: bool) -> w.ToggleButton:
    """The switch between a logarithmic and a linear axis."""
    help = text("plot.log.help", axis=text(f"plot.{x}"))
    button = w.ToggleButton(value=on, description=text("plot.log"), tooltip=help, layout=w.Layout(width="auto"))
    return button.add_class("wb-log").add_class(f"wb-log-{x}")


def _ahead(plot: Any, x: str, source: ColumnDataSource) -> Any:
    """The hollow point of a prediction: dashed, without filling, so that nobody takes it for a measured one."""
    look = {"source": source, "line_color": "#7a5cff", "line_dash": "dotted", "line_width": 1.5}
    plot.segment(x, "accuracy_low", x, "accuracy_high", **look)
    plot.segment(f"{x}_low", "accuracy", f"{x}_high", "accuracy", **look)
    return plot.scatter(x, "accuracy", marker="circle", size=17, fill_alpha=0.0, **look)


def _draw(source: ColumnDataSource, columns: dict[str, list]) -> None:
    """Show these columns: where only rows were added, the others aren't sent again."""
    drawn = {name: list(values) for name, values in source.data.items()}
    count = len(drawn["number"])
    if {name: values[:count] for name, values in columns.items()} != drawn:
        source.data = columns
    elif len(columns["number"]) > count:
        source.stream({name: values[count:] for name, values in columns.items()})
