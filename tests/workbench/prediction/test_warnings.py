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


def trial(
    study: Study, score: float, degrees: float, macs: float = 1.0, bits: int = 4, **knobs: object
) -> SimpleNamespace:
    """A trial as far as the rule looks at it: its accuracy at a temperature, with so many of the operations left."""
    whole = study.baseline.metrics
    assert whole is not None
    told = {"score": Score(value=score, low=score, high=score), "macs": round(macs * whole.macs)}
    recipe = Recipe([Quantize(weight_bits=bits, simulate=True), Distill(temperature=degrees, **knobs)])
    return SimpleNamespace(recipe=recipe, metrics=whole.model_copy(update=told))


def tried(study: Study, cool: list[float], warm: list[float], bits: int = 4) -> list[SimpleNamespace]:
    """Trials with these accuracies at temperatures 2 and 10, all else alike."""
    return [trial(study, value, 2.0, bits=bits) for value in cool] + [trial(study, v, 10.0, bits=bits) for v in warm]


def asked(degrees: float, bits: int = 4) -> Recipe:
    return Recipe([Quantize(weight_bits=bits, simulate=True), Distill(temperature=degrees)])


def test_a_temperature_that_did_worse_with_as_many_bits_is_told(study: Study) -> None:
    trials = tried(study, [0.95, 0.96, 0.955], [0.90, 0.91, 0.905])
    (said,) = temperature(asked(8.0), trials)  # type: ignore[arg-type]
    assert said == "In 6 trials with 4-bit weights, temperatures up to 4 were better by 5.0 points, all else alike."
    assert temperature(asked(2.0), trials) == []  # type: ignore[arg-type]


def test_no_temperature_is_judged_by_chance_by_few_or_by_other_bits(study: Study) -> None:
    for trials in (
        tried(study, [0.95, 0.90, 0.93], [0.92, 0.94, 0.91]),
        tried(study, [0.95, 0.95], [0.90, 0.91, 0.905]),
        tried(study, [0.95, 0.96, 0.955], [0.90, 0.91, 0.905], bits=2),
    ):
        assert temperature(asked(8.0), trials) == []  # type: ignore[arg-type]
    assert temperature(Recipe([Prune()]), []) == []


def test_a_temperature_is_not_blamed_for_how_much_was_pruned(study: Study) -> None:
    small = [trial(study, score, 2.0, macs=share) for share, score in ((0.04, 0.80), (0.05, 0.82), (0.06, 0.83))]
    large = [trial(study, score, 10.0, macs=share) for share, score in ((0.80, 0.95), (0.85, 0.96), (0.90, 0.96))]
    assert temperature(asked(2.0), [*small, *large]) == []  # type: ignore[arg-type]
    # nor where they meet in one place, and differ elsewhere
    met = [trial(study, 0.95, 2.0, macs=0.8), trial(study, 0.955, 2.0, macs=0.85)]
    assert temperature(asked(2.0), [*small, *met, *large]) == []  # type: ignore[arg-type]


def test_a_temperature_is_not_blamed_for_the_learning_rate_nor_for_the_epochs(study: Study) -> None:
    rates = ((1e-4, 0.90), (1.1e-4, 0.901), (1.2e-4, 0.902), (5e-3, 0.95), (5.5e-3, 0.951), (6e-3, 0.953))
    by_rate = [trial(study, y, 2.0 if rate < 1e-3 else 10.0, learning_rate=rate) for rate, y in rates]
    assert temperature(asked(2.0), by_rate) == []  # type: ignore[arg-type]
    by_epochs = [
        trial(study, y, 2.0 if n == 1 else 10.0, epochs=n) for n, y in ((1, 0.90), (8, 0.95)) for _ in range(4)
    ]
    assert temperature(asked(2.0), by_epochs) == []  # type: ignore[arg-type]


def test_a_temperature_that_matters_is_told_among_trials_that_differ(study: Study) -> None:
    """Each halving of operations costs two points, and each doubling of the rate brings one, warm or cool."""
    rows = [(share, rate, warm) for share in (0.2, 0.4, 0.8) for rate in (5e-4, 1e-3) for warm in (False, True)]
    trials = [
        trial(
            study,
            0.95 + 0.02 * math.log2(share) + 0.01 * math.log2(rate / 1e-3) - 0.03 * warm + 0.002 * (-1) ** place,
            10.0 if warm else 2.0,
            macs=share,
            learning_rate=rate,
        )
        for place, (share, rate, warm) in enumerate(rows)
    ]
    (said,) = temperature(asked(8.0), trials)  # type: ignore[arg-type]
    assert said.startswith("In 12 trials with 4-bit weights, temperatures up to 4 were better by 3.")
