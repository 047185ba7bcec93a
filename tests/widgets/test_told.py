"""Every step, knob and unit has its Chinese, and none is left over."""

from collections.abc import Iterator

import pytest

from widgets.controls import StepPanel
from widgets.texts import speak
from widgets.told import chinese, dimension, label_and_help, objective, summary
from workbench.knobs import Knob, knobs
from workbench.search.goals import QUANTITIES
from workbench.steps import STEPS

EVERY = [pytest.param(key, knob, id=f"{key}-{knob.name}") for key, step in STEPS.items() for knob in knobs(step)]


@pytest.fixture(autouse=True)
def _chinese() -> Iterator[None]:
    speak("zh")
    yield
    speak("en")


def has_chinese(words: str) -> bool:
    return any("\u4e00" <= sign <= "\u9fff" for sign in words)


@pytest.mark.parametrize(("step", "knob"), EVERY)
def test_every_knob_has_its_label_and_help(step: str, knob: Knob):
    label, told = label_and_help(step, knob)
    assert has_chinese(label) or knob.name == "alpha"  # which is a letter in any language
    assert has_chinese(told)
    assert knob.unit in ("", *chinese()["units"])


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_every_step_says_what_it_does_and_its_panel_speaks(step):
    assert has_chinese(summary(step))
    panel = StepPanel(step)
    for knob in knobs(step):
        assert panel.controls[knob.name].description == label_and_help(step.key(), knob)[0]
    assert panel.step() == step()


def test_nothing_is_translated_that_is_no_longer_declared():
    declared = {f"{key}.{knob.name}" for key, step in STEPS.items() for knob in knobs(step)}
    known = {name.partition(".")[2] for name in declared}
    for name in chinese()["knobs"]:
        assert name in declared or (name.startswith("training.") and name.partition(".")[2] in known), name
    assert set(chinese()["steps"]) == set(STEPS)


def test_what_a_search_varies_and_makes_better_is_named_as_on_the_page() -> None:
    speak("en")
    assert dimension("prune.ratio") == "Prune: Pruning ratio"
    assert dimension("prune.layers.conv1") == "Prune: Ratios by layer (conv1)"
    assert dimension("quantize") == "Quantize: with or without"
    assert dimension("something else") == "something else"
    assert all(objective(name) and "_" not in objective(name) for name in QUANTITIES)
