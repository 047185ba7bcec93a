"""The panels one by one: each with its own style, following its study, with traits to observe."""

import subprocess
import sys

import ipywidgets as w
import pytest

import widgets
from widgets import Flips, LayerTable, RecipeEditor, ResultCard, TradeoffPlot, TrialHistory
from widgets.browser import Browser
from workbench import Dataset, Quantize, Recipe, Study, WorkbenchError
from workbench.questions import answer


@pytest.fixture(scope="module")
def answered(study: Study) -> Study:
    """The study, what its trial 1 changed being known."""
    answer(study, 1, "changes", None)
    return study


@pytest.mark.parametrize("name", widgets.__all__)
def test_every_panel_can_be_imported_by_its_name(name):
    assert getattr(widgets, name).__name__ == name
    assert name in dir(widgets)


def test_importing_the_panels_is_light():
    code = "import sys, widgets; print([m for m in ('bokeh', 'ipywidgets', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_each_panel_brings_its_style_and_stands_among_other_widgets(answered):
    one, base = answered.trial(1), answered.baseline
    panels = [TradeoffPlot(answered), TrialHistory(answered), RecipeEditor(answered), LayerTable(one)]
    panels += [Flips(base, one), ResultCard(one)]
    box = w.HBox([*panels, w.Button()])
    for panel in box.children[:-1]:
        assert isinstance(panel.children[-1], Browser)
        assert "wb-app" in panel._dom_classes
        panel.close()


def test_what_is_chosen_can_be_observed_and_handed_on(study):
    plot, history = TradeoffPlot(study), TrialHistory(study)
    plot.observe(lambda change: history.mark(change["new"]), "selected")
    plot.source.selected.indices = [1]
    assert (plot.selected, history.selected, history.tree.chosen) == (1, 1, 1)
    plot.close()
    history.close()


def test_a_plot_follows_its_study_and_the_theme(few_digits: Dataset, tmp_path, wait_until):
    study = Study("lenet5", few_digits, path=tmp_path / "lenet5")
    plot = TradeoffPlot(study)
    study.run(Recipe([Quantize()]))
    wait_until(lambda: list(plot.source.data["number"]) == [0, 1])
    light = plot.figures[0].background_fill_color
    plot.children[-1].dark = True
    assert plot.figures[0].background_fill_color != light
    plot.close()


def test_the_editor_begins_with_a_balanced_recipe(study):
    editor = RecipeEditor(study)
    assert [type(step).__name__ for step in editor.current] == ["Prune", "Distill", "Quantize"]
    editor.close()


def test_layers_and_flips_are_those_of_the_trial(answered):
    table, flips = LayerTable(answered.trial(1)), Flips(answered.baseline, answered.trial(1))
    assert "conv1" in table.shown.value
    assert table.answer == flips.answer
    counted = sum(len(samples) for samples in flips.answer.flips.values())
    assert flips.shown.value.count("<figure>") == counted


def test_trials_of_different_studies_cannot_be_compared(study, few_digits, tmp_path):
    other = Study("lenet5", few_digits, path=tmp_path / "other").run(Recipe([Quantize()]))
    with pytest.raises(WorkbenchError, match="another study"):
        Flips(other, study.trial(1))


def test_the_history_tells_what_goes_wrong(study):
    history = TrialHistory(study)
    history.mark(0)
    history._guard(lambda: study.label(99, star=True))
    assert "99" in history.said.value
    history.close()
