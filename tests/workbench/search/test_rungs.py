"""Successive halving: many recipes train a little, the best third of them longer."""

import pytest

from workbench import Distill, Quantize, Recipe
from workbench.runtimes import RUNTIMES
from workbench.search.rungs import Rung, Rungs
from workbench.search.space import Space
from workbench.steps import Slim, Sparsify
from workbench.steps.finetune import Training

ORT = RUNTIMES["onnxruntime"]


def at(ratio: float, epochs: int) -> dict:
    return {"prune": True, "prune.ratio": ratio, "distill": True, "distill.epochs": epochs}


def test_rungs_are_the_epochs_of_the_space() -> None:
    rungs = Rungs(Space.of(None, ORT))
    assert rungs.height == 3
    assert [rungs.of(at(0.5, epochs)) for epochs in (1, 2, 3, 7)] == [0, 1, 2, None]
    assert rungs.of({"prune": True, "prune.ratio": 0.5}) is None
    assert rungs.at(at(0.5, 3), 0) == at(0.5, 1)


def test_a_range_of_epochs_is_climbed_by_threes() -> None:
    rungs = Rungs(Space.of({"distill.epochs": (1, 12)}, ORT))
    assert [rungs.at(at(0.5, 1), rung)["distill.epochs"] for rung in range(rungs.height)] == [1, 3, 9, 12]


def test_the_best_third_goes_on_and_only_once() -> None:
    rungs = Rungs(Space.of(None, ORT))
    done = [(at(ratio / 10, 1), float(ratio)) for ratio in range(1, 7)]
    assert rungs.promotable(done[:2]) == []
    assert rungs.promotable(done) == [(at(0.6, 1), at(0.6, 2)), (at(0.5, 1), at(0.5, 2))]
    done.append((at(0.6, 2), 6.5))
    assert rungs.promotable(done) == [(at(0.5, 1), at(0.5, 2))]


def test_the_highest_rung_is_served_first_and_nothing_climbs_above_it() -> None:
    rungs = Rungs(Space.of(None, ORT))
    done = [(at(ratio / 10, epochs), float(ratio)) for ratio in range(1, 4) for epochs in (1, 2)]
    assert rungs.promotable(done) == [(at(0.3, 2), at(0.3, 3))]
    assert rungs.promotable([*done, (at(0.3, 3), 4.0)]) == []


def test_the_table_counts_recipes_not_trials() -> None:
    rungs = Rungs(Space.of(None, ORT))
    done = [at(0.1, 1), at(0.2, 1), at(0.3, 1), at(0.3, 2), at(0.3, 2), {"prune": True}]
    assert rungs.table(done) == [Rung(1, 3, 1), Rung(2, 1, 0), Rung(3, 0, 0)]


def test_a_space_without_training_has_no_rungs() -> None:
    assert Rungs(Space.of({"distill": False}, ORT)).table([{"prune": True}]) == []


def test_a_promoted_recipe_goes_on_from_where_it_was_and_is_known_as_one_of_all_its_epochs() -> None:
    space = Space.of(None, ORT)
    rungs = Rungs(space)
    first, before = space.at({**at(0.5, 1), "quantize": True})
    after = rungs.at(before, 1)
    second = rungs.further(first, before, after)
    third = rungs.further(second, after, rungs.at(after, 2))
    assert [(step.key(), getattr(step, "epochs", None)) for step in third] == [
        ("prune", None),
        ("distill", 1),
        ("distill", 1),
        ("distill", 1),
        ("quantize", None),
    ]
    assert space.params(second) == space.params(space.at(after)[0])
    assert space.params(third) == space.params(space.at(rungs.at(after, 2))[0])


@pytest.mark.parametrize(
    "step",
    [
        Slim(epochs=1),
        Sparsify(epochs=1, method="iterative"),
        Distill(epochs=1, student="lenet300", fresh=True),
        Distill(epochs=1, teacher="self"),
        Distill(epochs=1, assistants=1),
    ],
    ids=lambda step: step.describe(),
)
def test_what_does_more_than_train_is_not_done_twice_but_longer(step: Training) -> None:
    key = step.key()
    space = Space.of({"distill": False, key: True, f"{key}.epochs": [1, 2]}, ORT)
    before = {f"{key}.epochs": 1}
    longer = Rungs(space).further(Recipe([step, Quantize()]), before, {f"{key}.epochs": 2})
    assert longer == Recipe([step.model_copy(update={"epochs": 2}), Quantize()])


def test_trainings_that_differ_in_more_than_epochs_are_not_one() -> None:
    space = Space.of(None, ORT)
    assert space.params(Recipe([Distill(epochs=1), Distill(epochs=1, temperature=2.0)])) is None
