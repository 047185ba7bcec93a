"""Every knob has its control, straight from its declaration; every panel gives back the step it was given."""

from functools import partial
from typing import Annotated

import ipywidgets as w
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from pydantic import Field

from widgets.by_layer import LayersField
from widgets.controls import StepPanel, control
from workbench import Distill, Finetune, Prune, Quantize, WorkbenchError
from workbench.knobs import Knob, knob, knobs
from workbench.steps import STEPS, Step

EVERY_STEP = pytest.mark.parametrize("step", STEPS.values(), ids=list(STEPS))
EVERY_KNOB = pytest.mark.parametrize(
    ("step", "knob"), [pytest.param(s, k, id=f"{s.key()}-{k.name}") for s in STEPS.values() for k in knobs(s)]
)
KINDS = {
    "choice": w.Dropdown,
    "switch": w.Checkbox,
    "text": w.Text,
    "integer": (w.IntSlider, w.BoundedIntText, w.SelectionSlider),
    "number": (w.FloatSlider, w.SelectionSlider, w.BoundedFloatText),
    "share": w.FloatSlider,
    "layers": LayersField,
}


def values(knob: Knob) -> st.SearchStrategy:
    """Every value that the declaration allows."""
    if knob.choices:
        return st.sampled_from(knob.choices)
    if knob.kind == "integer":
        return st.integers(int(knob.low), int(knob.high))
    if knob.kind == "layers":
        return st.dictionaries(st.sampled_from(["conv1", "features.0", "fc 1"]), st.sampled_from([knob.low, knob.high]))
    return st.floats(knob.low, knob.high) if knob.kind in ("share", "number") else st.text()


def _legal(step: type[Step], knobs: dict) -> Step:
    """The step with these knobs; knobs that it refuses to combine are no example."""
    try:
        return step(**knobs)
    except WorkbenchError:
        reject()


def steps(step: type[Step]) -> st.SearchStrategy[Step]:
    return st.fixed_dictionaries({}, optional={k.name: values(k) for k in knobs(step)}).map(partial(_legal, step))


def folded(panel: StepPanel) -> list[w.Widget]:
    return [c for more in panel.body.children if isinstance(more, w.Accordion) for c in more.children[0].children]


@EVERY_KNOB
def test_it_is_of_the_kind_that_suits_its_knob_and_starts_at_the_default(step, knob):
    widget = control(knob)
    assert isinstance(widget, KINDS[knob.kind])
    assert widget.value == knob.default


@EVERY_KNOB
def test_its_label_is_that_of_the_knob_and_its_tooltip_holds_unit_and_help(step, knob):
    widget = control(knob)
    widget = widget.field if isinstance(widget, LayersField) else widget
    assert widget.description == knob.label
    assert knob.help in widget.tooltip
    assert knob.unit in widget.tooltip


@EVERY_KNOB
def test_its_range_is_the_declared_one(step, knob):
    widget = control(knob)
    if knob.choices:
        assert tuple(value for _, value in widget.options) == knob.choices
    elif isinstance(widget, w.SelectionSlider):
        figures = [value for _, value in widget.options]
        assert figures == sorted(figures)
        assert knob.low <= figures[0] < figures[-1] <= knob.high
        assert figures[0] < 2.5 * knob.low  # the scale reaches as far as whole figures allow
        assert figures[-1] > knob.high / 2.5
    elif knob.low is not None and knob.kind != "layers":
        assert (widget.min, widget.max) == (knob.low, knob.high)
        if knob.step:
            assert widget.step == knob.step
    else:
        assert knob.kind in ("text", "switch", "layers")


@EVERY_STEP
def test_a_panel_has_every_knob_once_the_advanced_ones_folded_away(step):
    panel = StepPanel(step)
    assert not panel.body.children, "the controls are made when first asked for"
    declared, controls = knobs(step), panel.controls
    plain = [child for child in panel.body.children if not isinstance(child, w.Accordion)]
    assert plain == [controls[knob.name] for knob in declared if not knob.advanced]
    advanced = sorted((knob for knob in declared if knob.advanced), key=lambda knob: knob.kind == "layers")
    assert folded(panel) == [panel.controls[knob.name] for knob in advanced]
    assert panel.switch.tooltip == step.summary()


@EVERY_STEP
def test_an_untouched_panel_gives_the_step_with_its_defaults(step):
    assert StepPanel(step).step() == step()


@EVERY_STEP
@given(st.data())
def test_controls_that_are_made_late_show_the_step_that_was_given_before(step, data):
    panel, told = StepPanel(step), []
    panel.on_change(lambda: told.append(panel.step()))
    loaded = data.draw(steps(step))
    panel.load(loaded)
    assert told == ([] if loaded == step() else [loaded])
    for name, value in loaded.model_dump().items():
        assert panel.controls[name].value == value
    assert panel.step() == loaded
    assert len(told) <= 1, "making the controls is no change"


@EVERY_STEP
def test_a_panel_that_is_switched_off_gives_no_step_and_hides_its_knobs(step):
    panel = StepPanel(step, on=False)
    assert (panel.step(), panel.body.layout.display) == (None, "none")
    panel.switch.value = True
    assert (panel.step(), panel.body.layout.display) == (step(), "")


@EVERY_STEP
@given(st.data())
def test_a_panel_gives_back_any_step_that_it_was_given(step, data):
    panel = StepPanel(step, on=False)
    for loaded in data.draw(st.lists(steps(step), min_size=1, max_size=3)):
        panel.load(loaded)
        assert panel.step() == loaded
    panel.load(None)
    assert panel.step() is None


@pytest.mark.parametrize(
    ("step", "knob", "value"),
    [
        (Prune, "round_to", 12),
        (Quantize, "weight_bits", 3),
        (Finetune, "epochs", 7),
        (Finetune, "learning_rate", 0.0123),
        (Distill, "temperature", 2.3),
    ],
)
def test_a_recipe_from_elsewhere_may_hold_what_the_control_did_not_offer(step, knob, value):
    panel = StepPanel(step)
    panel.load(step(**{knob: value}))
    assert panel.controls[knob].value == value
    assert panel.step() == step(**{knob: value})


@EVERY_KNOB
def test_moving_a_control_changes_that_knob_alone(step, knob):
    panel = StepPanel(step)
    widget = panel.controls[knob.name]
    if knob.kind == "text":
        widget.value = "lenet5"
    elif knob.kind == "layers":
        widget.value = {"conv1": knob.low, "fc1": knob.high}
    elif knob.kind == "switch":
        widget.value = not knob.default
    elif isinstance(widget, (w.Dropdown, w.SelectionSlider)):
        widget.value = next(value for _, value in widget.options if value != knob.default)
    else:
        widget.value = knob.high if knob.default != knob.high else knob.low
    assert panel.step() == step(**{knob.name: widget.value})
    assert panel.step() != step()


def test_a_figure_between_two_whole_ones_is_refused_where_the_knob_counts():
    panel = StepPanel(Finetune)
    panel.controls["epochs"].include(2.5)
    panel.controls["epochs"].value = 2.5
    with pytest.raises(WorkbenchError, match=r"Finetune's epochs is 2\.5\. Give a whole number"):
        panel.step()


class Layered(Step):
    """A step with a table by layer."""

    ratios: dict[str, Annotated[float, Field(ge=0.0, le=0.95)]] = knob({}, help="Ratios of single layers.")


def test_a_table_by_layer_is_written_as_text_and_bounded_as_its_figures_are():
    panel = StepPanel(Layered)
    panel.controls["ratios"].field.value = " conv1 = 0.25,fc1=0.5 ,"
    assert panel.step() == Layered(ratios={"conv1": 0.25, "fc1": 0.5})
    panel.load(Layered(ratios={"features.0": 0.1}))
    assert panel.controls["ratios"].field.value == "features.0=0.1"
    panel.controls["ratios"].field.value = "conv1=1.5"
    with pytest.raises(WorkbenchError, match=r"Layered's ratios can't be 1\.5\. It must be at most 0\.95"):
        panel.step()


@pytest.mark.parametrize("text", ["conv1", "=0.5", "conv1=much", "conv1=0.5; fc1=0.5"])
def test_a_text_that_is_no_table_by_layer_is_refused_with_an_example(text):
    panel = StepPanel(Layered)
    panel.controls["ratios"].field.value = text
    with pytest.raises(WorkbenchError, match=r"names no layer and figure\. Write layer=figure, such as conv1=0\.3"):
        panel.step()
