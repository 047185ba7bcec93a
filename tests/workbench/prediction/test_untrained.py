"""Accuracy without training is told by anchor points where they can tell, and by curves elsewhere."""

from collections.abc import Sequence

import pytest

from workbench import Dataset, Prune, Quantize, Recipe, Study
from workbench.prediction.curves import Curves
from workbench.prediction.probes import anchors_by_probes, measure_probes, probe
from workbench.prediction.prospect import Prospect, follow
from workbench.prediction.untrained import Observed, Untrained
from workbench.sensitivity_scan import known_sensitivity

WHOLE = 0.95
FALLING = [0.95 - 0.04 * place for place in range(20)]
ANCHORED = [
    Prune(ratio=0.45, importance="taylor"),
    Prune(ratio=0.8, granularity="weight", importance="lamp", scope="global"),
    Prune(ratio=0.3, importance="random"),
]


class Told:
    """Anchors that say what they are told to say."""

    def __init__(self, kept: float | None):
        self.share, self.asked = kept, 0

    def kept(self, prospect: Prospect, keep: bool = False) -> float | None:
        self.asked += 1
        return self.share if prospect.cut else 1.0


@pytest.fixture(scope="module")
def study(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = Study("lenet5", digits, path=tmp_path_factory.mktemp("untrained"))
    study.sensitivity()
    measure_probes(study)
    anchors_by_probes(study)
    return study


def _prospect(study: Study, *steps) -> Prospect:
    return follow(Recipe(list(steps)), study.outline, study.runtime)


def _curves(study: Study) -> Curves:
    sensitivity = known_sensitivity(study)
    assert sensitivity is not None
    return Curves(WHOLE, sensitivity)


def _untrained(study: Study, shares: Sequence[float], anchors: Told | None) -> Untrained:
    return Untrained(_observed(study, shares), _curves(study), anchors, (_prospect(study), WHOLE, 500), 0.1)


def _observed(study: Study, shares: Sequence[float]) -> list[Observed]:
    ratios = [0.05 + 0.9 * place / len(shares) for place in range(len(shares))]
    return [(_prospect(study, Prune(ratio=round(r, 2))), share, 500) for r, share in zip(ratios, shares, strict=True)]


@pytest.mark.parametrize("step", ANCHORED, ids=str)
def test_it_is_near_what_comes_out_of_ways_that_nobody_has_tried(step, study):
    recipe = Recipe([step, Quantize(weight_bits=6, simulate=True)])
    found, truth = study.predict(recipe).accuracy, probe(study, recipe)
    assert found is not None and found.value == pytest.approx(truth.right / truth.samples, abs=0.1)


def test_the_unchanged_model_keeps_what_it_has(study):
    found = study.predict(Recipe([Quantize()])).accuracy
    assert found is not None and found.value == pytest.approx(study.baseline.metrics.accuracy.value, abs=0.01)


def test_what_anchors_say_is_learned_from_where_they_were_wrong(study):
    """They say 0.8 of everything; half of it is what it comes to."""
    anchors = Told(0.8)
    model = _untrained(study, [0.4] * 20, anchors)
    assert model.at(_prospect(study, Prune(ratio=0.42))).value == pytest.approx(0.4, abs=0.05)
    assert anchors.asked > 20


def test_without_anchors_the_curves_say_it(study):
    model = _untrained(study, FALLING, None)
    little, much = (model.at(_prospect(study, Prune(ratio=ratio))).value for ratio in (0.1, 0.85))
    assert little > 0.8 > 0.45 > much


def test_of_what_anchors_can_not_tell_the_curves_say_it(study):
    alone, silent = (_untrained(study, FALLING, anchors) for anchors in (None, Told(None)))
    prospect = _prospect(study, Prune(ratio=0.5))
    assert silent.at(prospect) == alone.at(prospect)
