"""What weights take in a packed file is told before they are coded."""

import copy

import pytest
from torch import nn

from workbench import Dataset, Prune, Quantize, Recipe, ShareWeights, Study
from workbench.carry_out import context_of
from workbench.packing.writing import smallest
from workbench.prediction import coded
from workbench.prediction.prospect import Prospect, follow
from workbench.steps.base import Work

SPARSE = {"granularity": "weight", "importance": "lamp", "scope": "global"}


@pytest.fixture(scope="module")
def study(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study("lenet5", digits, path=tmp_path_factory.mktemp("coded"))


def _foreseen(study: Study, recipe: Recipe) -> tuple[Prospect, float]:
    prospect = follow(recipe, study.outline, study.runtime)
    return prospect, sum(study.outline.coded.bits(prospect, layer) for layer in prospect.size.layers) / 8


def _written(study: Study, recipe: Recipe) -> int:
    """Bytes of the coded weights of all layers when the recipe is really carried out."""
    work = Work(copy.deepcopy(study.module))
    for step in recipe:
        step.apply(work, context_of(study, recipe.seed))
    found = 0
    for name, part in work.module.named_modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            grid = work.grids.get(f"{name}.weight")
            scale = (grid.scale.numpy(), grid.block) if grid else None
            found += len(smallest(part.weight.detach().numpy() + 0, scale)[1])  # -0.0 is 0.0 in a file
    return found


@pytest.mark.parametrize("bits", [8, 6, 4, 3, 2])
@pytest.mark.parametrize(
    "pruned",
    [
        [],
        [Prune(ratio=0.5)],
        [Prune(ratio=0.7, **SPARSE)],
        [Prune(ratio=0.4, granularity="weight", importance="random")],
    ],
    ids=str,
)
def test_integers_take_what_was_told(pruned, bits, study):
    recipe = Recipe([*pruned, Quantize(weight_bits=bits, simulate=True)], seed=3)
    assert _foreseen(study, recipe)[1] == pytest.approx(_written(study, recipe), rel=0.12 if pruned else 0.03)


@pytest.mark.parametrize("step", [Prune(ratio=0.5), Prune(ratio=0.8, **SPARSE)], ids=str)
def test_floats_take_about_what_was_told(step, study):
    recipe = Recipe([step])
    assert _foreseen(study, recipe)[1] == pytest.approx(_written(study, recipe), rel=0.1)


def test_which_weights_go_is_known_of_an_order_and_taken_on_average_elsewhere(study):
    q = Quantize(weight_bits=4, simulate=True)
    of_layers = Prune(ratio=0.8, granularity="weight", importance="l1", threshold=0.02)
    prospect, bytes_ = _foreseen(study, Recipe([of_layers, q]))
    assert 0 < prospect.zeros < 1
    assert bytes_ < _foreseen(study, Recipe([q]))[1]


def test_a_codebook_is_told_by_its_width(study):
    three, five = (_foreseen(study, Recipe([ShareWeights(bits=b, conv_bits=b)]))[1] for b in (3, 5))
    assert three < five < 4 * sum(layer.weights for layer in study.outline.whole_size.layers)


def test_of_large_layers_some_rows_are_enough(study, monkeypatch):
    recipe = Recipe([Prune(ratio=0.7, **SPARSE), Quantize(weight_bits=4, simulate=True)])
    prospect, whole = _foreseen(study, recipe)
    monkeypatch.setattr(coded, "ENOUGH", 10_000)
    few = coded.Coded(study.module)
    assert sum(few.bits(prospect, layer) for layer in prospect.size.layers) / 8 == pytest.approx(whole, rel=0.03)
