"""Every step: a complete declaration, and one `apply` that leaves a model that runs."""

import pytest
import torch

from workbench import Recipe
from workbench.knobs import knobs
from workbench.steps import STEPS
from workbench.steps.base import Work

EVERY_STEP = pytest.mark.parametrize("step", STEPS.values(), ids=list(STEPS))
EVERY_KNOB = pytest.mark.parametrize(
    ("step", "knob"), [pytest.param(s, k, id=f"{s.key()}-{k.name}") for s in STEPS.values() for k in knobs(s)]
)


@EVERY_STEP
def test_it_says_in_one_sentence_what_it_does(step):
    assert step.summary().endswith(".")
    assert STEPS[step.key()] is step


@EVERY_KNOB
def test_its_knobs_have_a_label_and_a_sentence_of_help(step, knob):
    assert knob.label[0].isupper()
    assert knob.help.endswith(".")
    assert knob.kind in ("share", "number", "integer", "choice", "switch", "text", "layers")


@EVERY_KNOB
def test_its_counts_have_a_unit(step, knob):
    if knob.kind == "layers":
        return  # a table's figures are named by its help
    counted = isinstance(knob.default, int) and not isinstance(knob.default, bool)
    assert bool(knob.unit) == counted


@EVERY_KNOB
def test_its_defaults_lie_within_their_bounds(step, knob):
    if knob.choices:
        assert knob.default in knob.choices
    if knob.kind == "layers":
        assert knob.default == {}
        assert knob.low < knob.high
    elif knob.low is not None:
        assert knob.low <= knob.default <= knob.high
    if knob.kind in ("share", "number", "integer"):
        assert knob.low < knob.high
        assert knob.log or knob.step is not None or knob.kind == "integer"
    if knob.log:
        assert knob.low > 0


@EVERY_STEP
def test_it_comes_back_from_yaml(step):
    recipe = Recipe([step()])
    assert Recipe.from_yaml(recipe.to_yaml()).steps == (step(),)


@EVERY_STEP
def test_it_leaves_a_model_that_runs(step, context, lenet5, few_digits):
    work = Work(lenet5)
    step().apply(work, context)
    outputs = work.module.eval()(torch.from_numpy(few_digits.prepare(few_digits.validation.inputs[:7])))
    assert outputs.shape == (7, 10)
    assert outputs.isfinite().all()


@EVERY_STEP
def test_it_leaves_the_baseline_alone(step, context, lenet5):
    before = {name: tensor.clone() for name, tensor in context.baseline.state_dict().items()}
    step().apply(Work(lenet5), context)
    assert all(torch.equal(tensor, before[name]) for name, tensor in context.baseline.state_dict().items())
