"""The trade-off plots: every measured trial where it was measured, and a tap that chooses one."""

import json
import re

import pytest
from bokeh.models import HoverTool, Scatter, Segment, Step

from widgets.points import COLUMNS, METHODS, method
from widgets.tradeoff import AHEAD, INK, CurrentBokehModel, TradeoffPlot
from workbench import Distill, Finetune, Pack, Prune, Quantize, Recipe, ShareWeights, Slim, Sparsify, Study, Trial
from workbench.metrics import bytes_text


@pytest.fixture
def plot(study: Study) -> TradeoffPlot:
    return TradeoffPlot(study)


@pytest.fixture
def apart(study: Study) -> tuple[TradeoffPlot, Study]:
    """A plot that was made before there was any study to show."""
    return TradeoffPlot(), study


def rows(plot: TradeoffPlot) -> dict[int, dict]:
    """The plot's data by trial."""
    data = plot.source.data
    return {number: {name: data[name][i] for name in COLUMNS} for i, number in enumerate(data["number"])}


def test_every_measured_trial_is_a_point_and_no_other(plot, study):
    assert {trial.number for trial in study.trials if trial.metrics} == set(rows(plot)) == {0, 1}


def test_a_point_lies_where_its_artifact_was_measured(plot, study):
    for trial in (study.trial(0), study.trial(1)):
        row, m = rows(plot)[trial.number], trial.metrics
        assert (row["size"], row["accuracy"]) == (m.size_bytes, m.accuracy.value)
        assert (row["accuracy_low"], row["accuracy_high"]) == (m.accuracy.low, m.accuracy.high)
        assert row["size_text"] == bytes_text(m.size_bytes)
    assert rows(plot)[0]["latency"] == study.baseline.metrics.latency.value


def test_latency_is_the_baselines_divided_by_the_paired_speedup(plot, study):
    row, whole, speedup = rows(plot)[1], study.baseline.metrics.latency.value, study.trial(1).metrics.speedup
    ends = (row["latency_low"], row["latency"], row["latency_high"])
    assert ends == (whole / speedup.high, whole / speedup.value, whole / speedup.low)
    assert list(ends) == sorted(ends)


def bokeh_of(plot):
    return next(child for child in plot.children if isinstance(child, CurrentBokehModel))


def test_both_figures_draw_points_error_bars_and_the_front_from_the_same_data(plot):
    for figure, bars in zip(plot.figures, ({"accuracy_low"}, {"accuracy_low", "accuracy"}), strict=True):
        kinds = [type(renderer.glyph) for renderer in figure.renderers]
        assert (kinds.count(Scatter), kinds.count(Step)) == (3, 1)  # measured, failed, predicted
        segments = [r for r in figure.renderers if isinstance(r.glyph, Segment) and r.data_source is plot.source]
        assert {r.glyph.y0 for r in segments} == bars
    assert plot.figures[0].y_range is plot.figures[1].y_range


def test_a_pointer_over_a_point_tells_everything_that_the_columns_hold(plot):
    for figure in plot.figures:
        texts = [tool.tooltips for tool in figure.select(HoverTool)]
        wanted = ("number", "recipe", "size_text", "accuracy_text", "latency_text")
        assert any(all(f"@{name}" in text for name in wanted) for text in texts)
    told = rows(plot)[1]
    assert told["recipe"] == "Prune 50%, Finetune 1 epoch, Quantize 8 bits"
    assert told["latency_text"].endswith(("faster", "slower", "no measurable change"))


def test_the_front_joins_the_trials_that_no_other_beats_from_small_to_large(plot, study):
    for x, objective in (("size", "size_bytes"), ("latency", "latency")):
        front, best = plot.fronts[x].data, study.pareto(["accuracy", objective])
        expected = sorted((rows(plot)[trial.number][x], trial.metrics.accuracy.value) for trial in best)
        assert list(zip(front["x"], front["y"], strict=True)) == expected
        assert front["y"] == sorted(front["y"])  # whoever pays more gets more


def test_a_tap_selects_the_trial(plot):
    told = []
    plot.observe(lambda change: told.append(change["new"]), "selected")
    plot.source.selected.indices = [1]
    plot.source.selected.indices = [0]
    plot.source.selected.indices = []  # a tap beside all points keeps what was chosen
    assert told == [1, 0]
    assert plot.selected == 0


def test_a_tap_is_understood_as_the_browser_sends_it(plot):
    sent = {"kind": "ModelChanged", "model": {"id": plot.source.selected.id}, "attr": "indices", "new": [1]}
    bokeh_of(plot)._document.apply_json_patch({"events": [sent]}, setter=plot)
    assert plot.selected == 1


def test_marking_a_trial_highlights_its_point(plot):
    plot.mark(1)
    assert plot.source.selected.indices == [1]
    plot.mark(2)  # it failed, so it has no point
    assert plot.source.selected.indices == []


def test_showing_a_study_again_picks_up_what_is_new(apart):
    plot, study = apart
    assert rows(plot) == {}
    plot.show(study)
    assert set(rows(plot)) == {0, 1}


def test_a_page_that_comes_later_sees_what_is_there_by_then(apart):
    plot, study = apart
    bokeh = bokeh_of(plot)
    assert "Prune 50%" not in json.dumps(bokeh.get_state())
    plot.show(study)
    assert "Prune 50%" in json.dumps(bokeh.get_state())


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ([], "Baseline"),
        ([Finetune()], "Train"),
        ([Finetune(), Distill()], "Train"),
        ([Quantize()], "Quantize"),
        ([Distill(), Prune()], "Prune + Train"),
        ([Slim()], "Prune + Train"),
        ([Sparsify(), Quantize()], "Prune + Train + Quantize"),
        ([Prune(), Quantize()], "Prune + Quantize"),
        ([Prune(granularity="weight"), ShareWeights(), Pack()], "Prune + Quantize"),
        ([Prune(), Distill(), Finetune(), Quantize()], "Prune + Train + Quantize"),
    ],
)
def test_kinds_of_recipes_differ_in_colour_and_shape(steps, name, study):
    record = study.storage.record(0).model_copy(update={"recipe": Recipe(steps).to_dict()})
    assert method(Trial(study, record)) == name
    assert name in METHODS
    assert len(METHODS) == len({color for color, _ in METHODS.values()}) == len({m for _, m in METHODS.values()})


def test_trials_without_a_measured_place_lie_on_the_margin_with_their_reason(plot, study):
    lost = plot.failed.data
    assert list(lost["number"]) == [2, 3]
    assert list(lost["reason"]) == [study.trial(2).reason, study.trial(3).reason]
    plot.failed.selected.indices = [0]
    assert plot.selected == 2


def test_several_points_in_a_box_are_told_together_and_choose_none(plot):
    plot.mark(None)
    plot.source.selected.indices = [0, 1]
    assert (plot.boxed, plot.selected) == ([0, 1], None)
    plot.source.selected.indices = [1]
    assert (plot.boxed, plot.selected) == ([], 1)


def test_a_prediction_is_hollow_and_dotted_on_both_plots_and_goes_again(plot):
    ahead = dict.fromkeys(AHEAD, 1.0) | {"told": "predicted"}
    plot.foresee(ahead)
    for figure in plot.figures:
        drawn = [r for r in figure.renderers if r.data_source is plot.ahead]
        assert len(drawn) == 3
        assert all(r.glyph.line_dash for r in drawn)
        assert next(r for r in drawn if isinstance(r.glyph, Scatter)).glyph.fill_alpha == 0
    assert plot.ahead.data["size"] == [1.0]
    plot.foresee(None)
    assert plot.ahead.data["size"] == []


def test_it_has_a_light_and_a_dark_dress(plot):
    grounds = []
    for dark in (True, False):
        plot.dress(dark)
        grounds.append({figure.background_fill_color for figure in plot.figures})
    assert grounds == [{INK[True][0]}, {INK[False][0]}]


def test_a_page_that_comes_later_sees_the_plot_as_it_is_then_with_scales_of_its_own(study):
    plot = TradeoffPlot()
    plot.figures[0].x_range.start = 0.1  # as an earlier page found it, when there was no trial
    plot.show(study)
    sent = json.dumps(plot.drawing.get_state("render_bundle")["render_bundle"], default=str)
    assert "Prune 50%" in sent
    assert not re.search(r'"DataRange1d"[^}]*"(start|end)":', sent)


@pytest.mark.parametrize("x", ["size", "latency"])
def test_an_axis_is_logarithmic_or_linear_as_is_wished_and_taps_still_choose(study, x):
    plot = TradeoffPlot(study)
    at = list(plot.logs).index(x)
    scales = []
    for _ in range(2):
        plot.logs[x].value = not plot.logs[x].value
        scales.append(type(plot.figures[at].x_scale).__name__)
        assert plot.figures[0].y_range is plot.figures[1].y_range
    assert set(scales) == {"LogScale", "LinearScale"}
    plot.source.selected.indices = [1]
    assert plot.selected == 1
