"""Where a search looks follows from the declarations of the knobs, narrowed by the user."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import Dataset, Distill, Prune, Quantize, Recipe, Study, WorkbenchError
from workbench.knobs import knobs
from workbench.runtimes import RUNTIMES
from workbench.search.space import SOLVED, USUAL, Space
from workbench.steps import STEPS, ShareWeights

ORT = RUNTIMES["onnxruntime"]


@given(st.integers(0, 10_000))
def test_every_point_is_a_recipe_that_leads_back_to_it(seed: int) -> None:
    space = Space.of(None, ORT)
    recipe, params = space.random(np.random.default_rng(seed))
    assert space.params(recipe) == params
    assert Recipe.from_dict(recipe.to_dict()) == recipe


@given(st.integers(0, 10_000))
def test_a_neighbour_is_in_the_space_too(seed: int) -> None:
    space, generator = Space.of(None, ORT), np.random.default_rng(seed)
    recipe, params = space.near(space.random(generator)[1], generator)
    assert space.params(recipe) == params


def test_what_is_usual_names_knobs_that_there_are() -> None:
    for key in USUAL:
        step, _, name = key.partition(".")
        assert step in STEPS and (not name or name in {knob.name for knob in knobs(STEPS[step])})


def test_a_knob_that_is_not_named_has_its_declared_range() -> None:
    dimension = Space.of({"slim": True}, ORT).steps["slim"]["slim.strength"]
    declared = next(knob for knob in knobs(STEPS["slim"]) if knob.name == "strength")
    assert (dimension.low, dimension.high, dimension.log) == (declared.low, declared.high, declared.log)


def test_the_user_narrows_fixes_adds_and_leaves_out() -> None:
    wishes = {"prune.ratio": (0.4, 0.6), "prune.importance": "fpgm", "prune": True, "distill": False}
    space = Space.of({**wishes, "quantize.observer": ["mse", "entropy"]}, ORT)
    generator = np.random.default_rng(0)
    for _ in range(40):
        steps = {step.key(): step for step in space.random(generator)[0]}
        assert 0.4 <= steps["prune"].ratio <= 0.6 and steps["prune"].importance == "fpgm"  # type: ignore[attr-defined]
        assert "distill" not in steps
    assert "quantize.observer" in space.steps["quantize"]


def test_figures_keep_to_the_steps_of_their_declaration() -> None:
    space, generator = Space.of({"prune": True}, ORT), np.random.default_rng(0)
    ratios = {space.random(generator)[0].steps[0].ratio for _ in range(60)}  # type: ignore[attr-defined]
    assert all(ratio == pytest.approx(round(ratio / 0.05) * 0.05) for ratio in ratios) and len(ratios) > 5


def test_recipes_outside_have_no_place() -> None:
    space = Space.of(None, ORT)
    assert space.params(Recipe([Prune(ratio=0.5)])) is not None
    for outside in ([Prune(ratio=0.95)], [Prune(importance="fpgm")], [Quantize(), Prune()], [Distill(epochs=50)]):
        assert space.params(Recipe(outside)) is None


LAYERS = {"prune": ["conv1", "layer1.0.conv2"], "quantize": ["conv1", "fc"]}


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"prun.ratio": 0.5}, "no step called 'prun'"),
        ({"prune.rato": 0.5}, "no knob 'rato'"),
        ({"prune.ratio": (0.2, 3.0)}, "ratio can't be 3"),
        ({"prune.ratio": (0.8, 0.2)}, "lower one first"),
        ({"prune.importance": ["l2", "luck"]}, "can't be 'luck'"),
        ({"prune.importance": []}, "nothing to choose"),
        ({"quantize.layers": (4, 6, 8)}, "a range with 3 ends"),
        ({"prune.layers": (0.9, 0.1)}, "lower one first"),
        ({"prune.ratio": (None, 0.5)}, "can't go from None to 0.5"),
        ({"prune.ratio": (False, True)}, "can't go from False"),
        ({"prune": 0.5}, "prune can't be 0.5 here"),
        ({"prune.strength": "a"}, "can't go from 'a'"),
        ({"prune.strength": (0.1, 0.5, 0.9)}, "a range with 3 ends"),
        ({"prune.allocation": [["knobs"]]}, "no allocation"),
        ({"prune": False, "distill": False, "quantize": False}, "has no step"),
    ],
)
def test_bad_wishes_are_refused_in_a_sentence(wishes: dict, says: str) -> None:
    with pytest.raises(WorkbenchError, match=says):
        Space.of(wishes, ORT, layers=LAYERS)


def test_choices_of_a_set_have_one_order() -> None:
    sets = [Space.of({"prune.importance": set(names)}, ORT) for names in (["l2", "l1", "fpgm"], ["fpgm", "l1", "l2"])]
    choices = [space.steps["prune"]["prune.importance"].choices for space in sets]
    assert choices == [("fpgm", "l1", "l2")] * 2


def test_a_space_of_one_point_is_refused() -> None:
    one = {"prune": True, "prune.ratio": 0.5, "prune.importance": "l2", "prune.scope": "layer", "prune.round_to": 1}
    with pytest.raises(WorkbenchError, match="single point"):
        Space.of({**one, "distill": False, "quantize": False}, ORT)
    one.pop("prune")  # with it or without: but nothing is no recipe
    with pytest.raises(WorkbenchError, match="single point"):
        Space.of({**one, "distill": False, "quantize": False}, ORT)


def test_16_bit_floats_are_a_format_beside_integers_where_the_runtime_has_both() -> None:
    space, generator = Space.of(None, ORT), np.random.default_rng(0)
    found = [{step.key() for step in space.random(generator)[0]} for _ in range(60)]
    assert any("half" in keys for keys in found) and not any({"half", "quantize"} <= keys for keys in found)
    for wishes in ({"quantize": False}, {"quantize": True}, {"half": False}):
        assert "half" not in Space.of(wishes, ORT).steps
    assert "half" not in Space.of(None, RUNTIMES["torch"]).steps
    assert "half" in Space.of({"half": True, "quantize": False}, ORT).steps


def test_integers_that_are_asked_for_where_there_are_none_are_refused() -> None:
    assert "quantize" not in Space.of(None, RUNTIMES["inductor"]).steps
    with pytest.raises(WorkbenchError, match="has no integer kernels"):
        Space.of({"quantize": True}, RUNTIMES["inductor"])


@given(st.integers(0, 10_000))
def test_each_layer_can_have_a_ratio_and_bits_of_its_own(seed: int) -> None:
    wishes = {"prune.layers": (0.0, 0.9), "quantize.layers": [8, 4], "quantize.simulate": [True], "quantize": True}
    space = Space.of(wishes, ORT, layers=LAYERS)
    recipe, params = space.random(np.random.default_rng(seed))
    steps = {step.key(): step for step in recipe}
    assert set(steps["quantize"].layers) == {"conv1", "fc"}  # type: ignore[attr-defined]
    assert set(steps["quantize"].layers.values()) <= {8, 4}  # type: ignore[attr-defined]
    if "prune" in steps:
        assert set(steps["prune"].layers) == set(LAYERS["prune"])  # type: ignore[attr-defined]
    assert space.params(recipe) == params and space.at(params)[0] == recipe


def test_a_ratio_or_bits_that_no_layer_can_have_are_refused() -> None:
    for wishes in ({"prune.layers": (0.0, 1.5)}, {"quantize.layers": [8, 77]}):
        with pytest.raises(WorkbenchError):
            Space.of(wishes, ORT, layers=LAYERS)


class Solver:
    """As a sensitivity answers: half the share from one layer, all of it from the other."""

    def ratios(self, macs: float, solver: str, seed: int) -> dict[str, float]:
        return {"conv1": round((1 - macs) / 2, 3), "conv2": round(1 - macs, 3)}


def test_strength_goes_between_the_same_for_all_and_what_a_solver_advises() -> None:
    wishes = {"prune.allocation": ["evolution"], "prune.strength": (0.0, 1.0), "prune": True, "prune.ratio": (0.1, 0.8)}
    space = Space.of(wishes, ORT, Solver())  # type: ignore[arg-type]
    for strength, expected in ((0.0, [0.4, 0.4]), (0.5, [0.3, 0.4]), (1.0, [0.2, 0.4])):
        (step, *_), params = space.at(
            {"prune.ratio": 0.4, "prune.strength": strength, "quantize": False, "distill": False}
        )
        assert list(step.layers.values()) == pytest.approx(expected)  # type: ignore[attr-defined]
        assert params["prune.allocation"] == "evolution"


def test_a_range_of_bits_by_layer_has_whole_ones() -> None:
    space, generator = (
        Space.of({"quantize.layers": (4, 8), "quantize": True}, ORT, layers=LAYERS),
        np.random.default_rng(0),
    )
    steps = [space.random(generator)[0].steps[-1] for _ in range(20)]
    assert {bits for step in steps for bits in step.layers.values()} == {4, 5, 6, 7, 8}  # type: ignore[attr-defined]


def test_a_solver_changes_the_ratios_and_nothing_else() -> None:
    wishes = {"prune": True, "prune.allocation": ["sensitivity"], "prune.importance": "taylor", "quantize": False}
    (step, *_), _ = Space.of(wishes, ORT, Solver()).at({"distill": False})  # type: ignore[arg-type]
    assert step.importance == "taylor" and step.layers  # type: ignore[attr-defined]
    single = wishes | {"prune.granularity": ["weight"], "prune.importance": "l1"}
    (step, *_), _ = Space.of(single, ORT, Solver()).at({"distill": False})  # type: ignore[arg-type]
    assert step.granularity == "weight" and not step.layers  # type: ignore[attr-defined]


def test_what_a_solver_advises_is_among_the_first_candidates() -> None:
    space = Space.of(None, ORT, Solver())  # type: ignore[arg-type]
    recipes = [space.at(params)[0] for params in space.solved()]
    assert all(recipe.steps[0].layers for recipe in recipes)  # type: ignore[attr-defined]
    assert {len(recipe) for recipe in recipes} == {2, 3} and Space.of(None, ORT).solved() == []


def test_bits_of_single_layers_begin_with_those_of_an_integer_program(digits: Dataset, tmp_path: Path) -> None:
    study = Study("lenet300", digits, path=tmp_path)
    sensitivity = study.sensitivity()
    wishes = {"quantize.layers": [8, 4, 2], "quantize.simulate": [True], "prune.allocation": ["knobs"]}
    space = Space.of(wishes, ORT, sensitivity, layers={"quantize": study.outline.layers})
    recipes = [space.at(params)[0] for params in space.solved()]
    solved = [step.layers for recipe in recipes for step in recipe if isinstance(step, Quantize)]
    weights = {layer.name: layer.weights for layer in study.outline.size({}).layers}
    for share, layers in zip(SOLVED, solved[::2], strict=True):  # each without training, and with
        assert layers == sensitivity.bits(8 - share * 6, dict.fromkeys(weights, (8, 4, 2)))
        assert sum(weights[n] * bits for n, bits in layers.items()) <= (8 - share * 6) * sum(weights.values())
    assert [len(recipe) for recipe in recipes] == [1, 2] * len(SOLVED)
    only = sensitivity.bits(6, {"fc1": (4, 2), "fc2": (8,)})
    assert only == {"fc1": 4, "fc2": 8} and space.params(recipes[0]) is not None


@pytest.mark.parametrize("wishes", [{"prune.allocation": ["greedily"]}, {"prune.strength": (0.5, 2.0)}])
def test_an_allocation_that_there_is_not_is_refused(wishes: dict) -> None:
    with pytest.raises(WorkbenchError):
        Space.of(wishes, ORT, Solver())  # type: ignore[arg-type]


def test_a_space_covers_recipes_of_its_choices_whatever_their_ratio() -> None:
    space = Space.of(None, ORT)
    assert space.covers(Recipe([Prune(ratio=0.95), Quantize(simulate=True)]))
    assert space.bits() == {8}
    for step in (Prune(granularity="weight"), Quantize(weight_bits=4, simulate=True), ShareWeights()):
        assert not space.covers(Recipe([step]))
    own = Space.of({"quantize.layers": [8, 4]}, ORT, layers={"quantize": ["fc1"]})
    assert own.bits() == {8, 4} and own.covers(Recipe([Quantize(simulate=True)]))
