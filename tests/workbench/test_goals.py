"""Goals: each is a recipe that the open study can carry out."""

import pytest

from workbench import Distill, Half, Prune, Study, WorkbenchError
from workbench.goals import GOALS, goal_recipe


@pytest.mark.parametrize("name", GOALS)
def test_a_goal_has_its_sentence_and_a_recipe_that_onnx_runtime_carries_out(name, study):
    recipe = goal_recipe(name, study)
    study.check(recipe)
    assert recipe.steps == GOALS[name].steps
    assert GOALS[name].says.endswith(".")


def test_what_the_runtime_has_no_kernels_for_is_left_out(digits, tmp_path):
    eager = Study("lenet5", digits, runtime="torch", path=tmp_path / "torch")
    assert [type(step) for step in goal_recipe("balanced", eager)] == [Prune, Distill]
    study_of_floats = Study("lenet5", digits, path=tmp_path / "onnx")
    study_of_floats.runtime = type("Whole", (type(study_of_floats.runtime),), {"floats": ()})()
    with pytest.raises(WorkbenchError, match="no kernels for the goal 'accurate'"):
        goal_recipe("accurate", study_of_floats)


def test_no_accuracy_lost_cuts_nothing_out(study):
    assert goal_recipe("accurate", study).steps == (Half(),)


def test_an_unknown_goal_is_named_with_the_nearest(study):
    with pytest.raises(WorkbenchError, match="smaller"):
        goal_recipe("smallr", study)
