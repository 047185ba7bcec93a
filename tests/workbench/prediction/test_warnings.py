"""What a study's own measurements say against a recipe, before it runs."""

import copy
import math
from types import SimpleNamespace

import pytest
from torch import nn

from workbench import Dataset, Distill, Prune, Quantize, Recipe, Study
from workbench.estimates import Estimate, Score
from workbench.prediction.outline import LayerSize, Outline
from workbench.prediction.prospect import Prospect, follow
from workbench.prediction.warnings import odd_widths, slower, temperature
from workbench.runtimes import RUNTIMES
from workbench.steps.base import Context


@pytest.fixture
def outline(lenet5: nn.Module, few_digits: Dataset) -> Outline:
    return Outline(lenet5, Context(few_digits, copy.deepcopy(lenet5)))


def exactly(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value)


def in_eights(layers: tuple[LayerSize, ...]) -> Estimate:
    """A machine that computes eight channels at once."""
    return exactly(sum(math.ceil(x.outputs / 8) * math.ceil(x.inputs / 8) * x.kernel * x.positions for x in layers))


def one_by_one(layers: tuple[LayerSize, ...]) -> Estimate:
    return exactly(sum(x.macs for x in layers))


def pruned(outline: Outline, **knobs: object) -> Prospect:
    return follow(Recipe([Prune(**knobs)]), outline, RUNTIMES["onnxruntime"])


def test_odd_widths_are_told_where_wider_layers_take_no_longer(outline: Outline) -> None:
    (said,) = odd_widths(pruned(outline, ratio=0.3), in_eights)
    assert "would cost no time" in said and "multiples of 8" in said


def test_odd_widths_are_not_told_where_every_channel_costs_time(outline: Outline) -> None:
    assert odd_widths(pruned(outline, ratio=0.3), one_by_one) == []


def test_rounded_widths_and_whole_models_need_no_warning(outline: Outline) -> None:
    assert odd_widths(pruned(outline, ratio=0.5, round_to=8), in_eights) == []
    assert odd_widths(Prospect(outline, RUNTIMES["onnxruntime"]), in_eights) == []


def test_slower_is_said_only_where_the_whole_interval_is() -> None:
    assert slower(Estimate(value=1.3, low=1.1, high=1.5))
    assert not slower(Estimate(value=1.3, low=0.9, high=1.8))


def tried(study: Study, cool: list[float], warm: list[float], bits: int = 4) -> list[SimpleNamespace]:
    """Trials as far as the rule looks at them, with these accuracies at temperatures 2 and 10."""
    return [
        SimpleNamespace(
            recipe=Recipe([Quantize(weight_bits=bits, simulate=True), Distill(temperature=degrees)]),
            metrics=study.baseline.metrics.model_copy(update={"score": Score(value=value, low=value, high=value)}),  # type: ignore[union-attr]
        )
        for degrees, values in ((2.0, cool), (10.0, warm))
        for value in values
    ]


def asked(degrees: float, bits: int = 4) -> Recipe:
    return Recipe([Quantize(weight_bits=bits, simulate=True), Distill(temperature=degrees)])


def test_a_temperature_that_did_worse_with_as_many_bits_is_told(study: Study) -> None:
    trials = tried(study, [0.95, 0.96, 0.955], [0.90, 0.91, 0.905])
    (said,) = temperature(asked(8.0), trials)  # type: ignore[arg-type]
    assert said == "In 6 trials with 4-bit weights, temperatures up to 4 were better by 5.0 points."
    assert temperature(asked(2.0), trials) == []  # type: ignore[arg-type]


def test_no_temperature_is_judged_by_chance_by_few_or_by_other_bits(study: Study) -> None:
    for trials in (
        tried(study, [0.95, 0.90, 0.93], [0.92, 0.94, 0.91]),
        tried(study, [0.95, 0.95], [0.90, 0.91, 0.905]),
        tried(study, [0.95, 0.96, 0.955], [0.90, 0.91, 0.905], bits=2),
    ):
        assert temperature(asked(8.0), trials) == []  # type: ignore[arg-type]
    assert temperature(Recipe([Prune()]), []) == []
