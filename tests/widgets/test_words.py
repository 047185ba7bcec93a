"""Recipes in words, as trials are called on the page."""

import pytest

from widgets.words import recipe_words
from workbench import Distill, Finetune, Pack, Prune, Quantize, Recipe
from workbench.knobs import knobs
from workbench.steps import STEPS


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([], "Baseline"),
        ([Prune()], "Prune 50%"),
        ([Prune(ratio=0.25, round_to=8)], "Prune 25% (round channels to 8 channels)"),
        ([Quantize()], "Quantize 8 bits"),
        ([Quantize(weight_bits=1)], "Quantize 1 bit"),
        ([Finetune()], "Finetune 1 epoch"),
        ([Finetune(epochs=3, learning_rate=0.0005)], "Finetune 3 epochs (learning rate 0.0005)"),
        ([Distill(epochs=2, alpha=0.4, teacher="lenet300")], "Distill 2 epochs (alpha 40%; teacher lenet300)"),
        ([Prune(layers={"conv1": 0.25, "fc1": 0})], "Prune 50% (ratios by layer conv1=0.25 fc1=0)"),
        (
            [Prune(ratio=0.0, round_to=8, layers={"a": 0.0, "b": 0.25, "c": 0.9, "d": 0.5})],
            "Prune (ratios by layer 0% to 90% in 4 layers; round channels to 8 channels)",
        ),
        ([Prune(ratio=0.0)], "Prune 0%"),
        ([Distill(fresh=True)], "Distill 1 epoch (fresh weights on)"),
        ([Pack()], "Pack"),
        (
            [Prune(ratio=0.4), Distill(), Quantize(mode="dynamic")],
            "Prune 40%, Distill 1 epoch, Quantize 8 bits (mode dynamic)",
        ),
    ],
)
def test_a_recipe_is_said_in_a_few_words(steps, words):
    assert recipe_words(Recipe(steps)) == words


@pytest.mark.parametrize(
    ("step", "knob"), [pytest.param(s, k, id=f"{s.key()}-{k.name}") for s in STEPS.values() for k in knobs(s)[1:]]
)
def test_every_knob_that_differs_from_its_default_is_said(step, knob):
    others = {"switch": [not knob.default], "layers": [{"conv1": knob.high}]}.get(knob.kind, knob.choices)
    other = next(v for v in (*others, knob.low, knob.high, "lenet5") if v not in (None, knob.default))
    assert knob.label.lower() in recipe_words(Recipe([step(**{knob.name: other})]))
    assert knob.label.lower() not in recipe_words(Recipe([step()]))
