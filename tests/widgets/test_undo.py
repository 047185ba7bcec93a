"""Undo and redo of the knobs."""

import pytest

from widgets.recipe_editor import RecipeEditor
from widgets.undo import Undo
from workbench import Prune, Quantize, Recipe
from workbench.steps import STEPS


@pytest.fixture
def editor() -> RecipeEditor:
    return RecipeEditor(["prune", "quantize"])


@pytest.fixture
def undo(editor) -> Undo:
    undo = Undo(editor.load)
    undo.forget(editor.current)
    editor.observe(lambda change: undo.note(change["new"]), "current")
    return undo


def test_a_change_is_undone_and_done_again(editor, undo):
    first = editor.recipe()
    assert (undo.undo.disabled, undo.redo.disabled) == (True, True)
    editor.load(Recipe([Prune(ratio=0.2)]))
    undo.undo.click()
    assert editor.recipe() == first
    undo.redo.click()
    assert editor.recipe() == Recipe([Prune(ratio=0.2)])
    assert (undo.undo.disabled, undo.redo.disabled) == (False, True)


def test_a_slider_that_is_drawn_is_one_change(editor, undo):
    slider = editor.card("prune").controls["ratio"]
    for ratio in (0.55, 0.6, 0.65):
        slider.value = ratio
    undo.undo.click()
    assert slider.value == 0.5
    assert undo.undo.disabled


def test_a_step_that_makes_no_recipe_is_undone_and_leaves_nothing_behind(editor, undo):
    editor.load(Recipe([Prune(ratio=0.2), Quantize()]))
    before = editor.recipe()
    editor.add(STEPS["half"])
    assert editor.current is None and "Half" in editor.refusal
    undo.undo.click()
    assert editor.current == before and editor.refusal == ""
    assert [card.declared.key() for card in editor.cards] == ["prune", "quantize"]
    undo.undo.click()
    assert editor.current == Recipe([Prune(), Quantize()])


def test_another_change_after_an_undo_forgets_what_could_be_done_again(editor, undo):
    editor.load(Recipe([Quantize()]))
    undo.undo.click()
    editor.card("quantize").controls["weight_bits"].value = 4
    assert undo.redo.disabled


def test_it_can_be_done_again_as_soon_as_the_knobs_have_moved_back(editor, undo):
    enabled = []
    slider = editor.card("prune").controls["ratio"]
    slider.value = 0.55
    slider.observe(lambda _: enabled.append(not undo.redo.disabled), "value")
    undo.undo.click()
    assert enabled == [True]
