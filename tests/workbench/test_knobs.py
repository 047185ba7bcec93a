"""Knobs: every declared bound holds, and every refusal names the way out."""

import math
import re

import pytest

from workbench import Finetune, Prune, Quantize, WorkbenchError
from workbench.knobs import knobs
from workbench.steps import STEPS

ALL = [pytest.param(step, knob, id=f"{step.key()}-{knob.name}") for step in STEPS.values() for knob in knobs(step)]
FIGURES = [case for case in ALL if case.values[1].low is not None and case.values[1].kind != "layers"]
LITERALS = [case for case in ALL if isinstance(case.values[1].default, str) and case.values[1].choices]


def _below(knob, value):
    return value - 1 if isinstance(knob.default, int) else math.nextafter(value, -math.inf)


def _above(knob, value):
    return value + 1 if isinstance(knob.default, int) else math.nextafter(value, math.inf)


@pytest.mark.parametrize(("step", "knob"), FIGURES)
def test_the_bounds_belong_to_the_range(step, knob):
    for value in (knob.low, knob.high):
        assert getattr(step(**{knob.name: value}), knob.name) == value


@pytest.mark.parametrize(("step", "knob"), FIGURES)
def test_what_lies_outside_the_bounds_is_refused_with_the_bound(step, knob):
    with pytest.raises(WorkbenchError, match=f"{knob.name} can't be .* at least {knob.low:g}"):
        step(**{knob.name: _below(knob, knob.low)})
    with pytest.raises(WorkbenchError, match=rf"{knob.name} can't be .* at most {re.escape(format(knob.high, 'g'))}"):
        step(**{knob.name: _above(knob, knob.high)})


@pytest.mark.parametrize(("step", "knob"), FIGURES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "many", [1]], ids=repr)
def test_what_is_no_figure_is_refused(step, knob, value):
    with pytest.raises(WorkbenchError, match=f"{step.__name__}'s {knob.name} can't be"):
        step(**{knob.name: value})


@pytest.mark.parametrize(("step", "knob"), LITERALS)
def test_what_is_not_among_the_choices_is_refused_with_the_choices(step, knob):
    for choice in knob.choices:
        assert getattr(step(**{knob.name: choice}), knob.name) == choice
    with pytest.raises(WorkbenchError, match=f"'sideways'. Choose one of: .*{knob.choices[0]}"):
        step(**{knob.name: "sideways"})


@pytest.mark.parametrize(
    ("step", "wrong", "hint"),
    [
        (Prune, "ratoi", "Did you mean 'ratio'?"),
        (Quantize, "bits", "Did you mean 'weight_bits'?"),
        (Finetune, "lr", "Did you mean 'learning_rate'?"),
        (Finetune, "wd", "Did you mean 'weight_decay'?"),
        (Finetune, "xyzzy", "Choose one of: "),
        (Finetune, "epoch", "Did you mean 'epochs'?"),
    ],
)
def test_an_unknown_knob_is_refused_with_the_nearest_one(step, wrong, hint):
    with pytest.raises(WorkbenchError) as refusal:
        step(**{wrong: 1})
    assert refusal.value.message == f"{step.__name__} has no knob '{wrong}'."
    assert refusal.value.hint.startswith(hint)


def test_a_step_cannot_be_changed():
    with pytest.raises(Exception, match="frozen"):
        Prune().ratio = 0.1


def test_steps_are_compared_by_their_knobs():
    assert Prune(ratio=0.3) == Prune(ratio=0.3) != Prune(ratio=0.4)
