"""What a run will cost, from what earlier ones took."""

from types import SimpleNamespace

import pytest

from widgets.cost import Cost
from workbench import Distill, Finetune, Prune, Quantize, Recipe


def study(*done: tuple[Recipe, float]) -> SimpleNamespace:
    """As much of a study as is asked for."""
    trials = [
        SimpleNamespace(number=number, recipe=recipe, seconds=seconds, state="complete")
        for number, (recipe, seconds) in enumerate(done)
    ]
    return SimpleNamespace(path="here", trials=trials, storage=SimpleNamespace(complete=lambda: len(done)))


STILL, TRAINED = Recipe([Quantize()]), Recipe([Prune(), Finetune(epochs=2)])


def test_training_counts_by_its_epochs():
    known = study((STILL, 4.0), (TRAINED, 24.0))
    assert Cost().seconds(known, Recipe([Prune()])) == 4.0
    assert Cost().seconds(known, Recipe([Distill(epochs=3), Finetune(epochs=1)])) == pytest.approx(44.0)


def test_what_was_never_done_has_no_estimate():
    assert Cost().seconds(study(), STILL) is None
    assert Cost().seconds(study((STILL, 4.0)), TRAINED) is None
    assert Cost().told(study((STILL, 4.0)), TRAINED) == ""
    assert Cost().told(None, STILL) == ""


def test_it_is_told_as_an_estimate_and_learns_from_further_trials():
    cost = Cost()
    assert "about 4 s (an estimate" in cost.told(study((STILL, 4.0)), STILL)
    assert "about 5 min" in cost.told(study((STILL, 4.0), (STILL, 596.0)), STILL)


def test_a_recipe_that_has_run_is_told_with_its_trial():
    known = study((STILL, 4.0), (TRAINED, 24.0))
    assert "Trial 1 was this very recipe and seed." in Cost().told(known, TRAINED)
    assert "this very recipe" not in Cost().told(known, Recipe(TRAINED.steps, seed=1))
