"""A recipe: immutable, exact on disk, and refused in sentences where it is wrong."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from workbench import Distill, Finetune, Prune, Quantize, Recipe, WorkbenchError
from workbench.knobs import Knob, knobs
from workbench.steps import STEPS, Step


def _values(knob: Knob) -> st.SearchStrategy:
    """Every value that the declaration allows."""
    if knob.choices:
        return st.sampled_from(knob.choices)
    if knob.kind == "integer":
        return st.integers(int(knob.low), int(knob.high))
    if knob.kind == "switch":
        return st.booleans()
    if knob.kind == "layers":
        return st.dictionaries(st.sampled_from(["conv1", "features.0"]), st.sampled_from([knob.low, knob.high]))
    return st.floats(knob.low, knob.high) if knob.kind in ("share", "number") else st.text()


def _legal(step: type[Step], knobs: dict) -> Step:
    """The step with these knobs; knobs that it refuses to combine are no example."""
    try:
        return step(**knobs)
    except WorkbenchError:
        reject()


def _steps(step: type) -> st.SearchStrategy:
    return st.fixed_dictionaries({}, optional={k.name: _values(k) for k in knobs(step)}).map(partial(_legal, step))


def _in_order(steps: list[Step], seed: int) -> Recipe:
    """The recipe of these steps; an order that is refused is no example."""
    try:
        return Recipe(steps, seed)
    except WorkbenchError:
        reject()


RECIPES = st.builds(
    _in_order, st.lists(st.one_of([_steps(step) for step in STEPS.values()]), max_size=4), st.integers(0, 2**31)
)
KEYS = st.sampled_from(["workbench", "steps", "seed", "prune", "ratio"]) | st.integers()
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
)


def _outcome(read: Callable[[], Recipe]) -> str:
    """What reading gives: a recipe, or the sentence of a refusal; any other exception passes through."""
    try:
        return f"{read()}."
    except WorkbenchError as refusal:
        return refusal.message


@given(RECIPES)
def test_any_recipe_of_valid_knobs_comes_back_from_yaml_with_the_same_hash(recipe):
    again = Recipe.from_yaml(recipe.to_yaml())
    assert again == recipe
    assert again.hash == recipe.hash


@given(RECIPES)
def test_any_recipe_comes_back_from_its_own_python_code(recipe):
    names: dict = {}
    exec(recipe.to_python(), names)
    assert names["recipe"] == recipe


@given(RECIPES)
def test_any_recipe_survives_pickling_and_copying(recipe):
    assert pickle.loads(pickle.dumps(recipe)) == recipe == copy.deepcopy(recipe)


@given(RECIPES, RECIPES)
def test_two_recipes_are_equal_exactly_if_their_hashes_are(one, other):
    assert (one == other) == (one.hash == other.hash)
    assert one != other or hash(one) == hash(other)


@given(PLAIN)
def test_any_data_at_all_are_a_recipe_or_are_refused(data):
    assert _outcome(lambda: Recipe.from_dict(data)).endswith(".")


@given(st.text())
def test_any_text_at_all_is_a_recipe_or_is_refused(text):
    assert _outcome(lambda: Recipe.from_yaml(text)).endswith(".")


@pytest.mark.parametrize(("step", "knob"), [(step, knob) for step in STEPS.values() for knob in knobs(step)])
def test_the_hash_sees_every_knob(step, knob):
    other: object = knob.choices[-1] if knob.choices else knob.high
    if knob.kind in ("text", "layers"):
        other = "lenet5" if knob.kind == "text" else {"conv1": knob.high}
    if knob.kind == "switch":
        other = not knob.default
    if other == knob.default:
        other = knob.choices[0] if knob.choices else knob.low
    assert Recipe([step(**{knob.name: other})]).hash != Recipe([step()]).hash


def test_the_hash_sees_the_seed_and_the_order():
    steps = [Prune(), Finetune()]
    assert len({Recipe(steps).hash, Recipe(steps, seed=1).hash, Recipe(steps[::-1]).hash}) == 3


def test_the_hash_is_the_same_in_every_session():
    code = "from workbench import *; print(Recipe([Prune(ratio=0.3), Quantize()]).hash)"
    session = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert session.stdout.strip() == Recipe([Prune(ratio=0.3), Quantize()]).hash


def test_a_recipe_is_saved_and_loaded(tmp_path):
    recipe = Recipe([Prune(ratio=0.3, importance="taylor"), Distill(epochs=2), Quantize(mode="dynamic")], seed=7)
    recipe.save(tmp_path / "half.yaml")
    assert Recipe.load(tmp_path / "half.yaml") == recipe


def test_knobs_left_out_of_a_file_have_their_defaults():
    assert Recipe.from_yaml("steps:\n- prune:\n- quantize: {}\n") == Recipe([Prune(), Quantize()])


def test_a_recipe_says_what_it_changes():
    assert Recipe([Prune(ratio=0.3), Quantize()]).describe() == "Prune(ratio=0.3) + Quantize(weight_bits=8)"
    assert Recipe().describe() == "Baseline"


def test_a_recipe_cannot_be_changed():
    recipe = Recipe([Prune()])
    with pytest.raises(AttributeError, match="immutable"):
        recipe.seed = 1
    with pytest.raises(AttributeError):
        recipe.steps.append(Quantize())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a recipe"),
        ("[]", "not a recipe"),
        ("steps: 3", "not a recipe"),
        ("steps: [", "not valid YAML"),
        ("2001-99-99", "not valid YAML"),
        ("[" * 500, "not valid YAML"),
        ("workbench: 2\nsteps: []", "version 2.*reads 1"),
        ("seed: tomorrow\nsteps: []", "seed is 'tomorrow'"),
        ("steps: [prune]", "'prune' is not a step"),
        ("steps: [{prune: {}, quantize: {}}]", "is not a step"),
        ("steps: [{prun: {}}]", "no step called 'prun'. Did you mean 'prune'"),
        ("steps: [{prune: 0.5}]", "knobs of 'prune' are 0.5"),
        ("steps: [{prune: {0.5: ratio}}]", "knobs of 'prune' are"),
        ("steps: [{prune: {ration: 0.5}}]", "Prune has no knob 'ration'. Did you mean 'ratio'"),
        ("steps: [{prune: {ratio: 1.5}}]", "ratio can't be 1.5. It must be at most 0.95"),
        ("steps: [{quantize: {}}, {quantize: {}}]", "Quantize can't follow Quantize"),
        ("!!python/object/apply:os.system ['exit']", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence(text, said, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WorkbenchError, match=said):
        Recipe.load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(WorkbenchError, match=r"none\.yaml can't be read"):
        Recipe.load(tmp_path / "none.yaml")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WorkbenchError, match="can't be read"):
        Recipe.load(tmp_path / "binary.yaml")


def test_only_steps_make_a_recipe():
    with pytest.raises(WorkbenchError, match=r"'prune' is not a step. A recipe is made of .*Prune"):
        Recipe(["prune"])
