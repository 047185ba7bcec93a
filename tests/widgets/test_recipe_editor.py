"""A recipe as cards: any recipe that is loaded is given back, in its order; cards move, come and go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widgets.recipe_editor import ADD, RecipeEditor
from workbench import Distill, Finetune, Prune, Quantize, Recipe, WorkbenchError
from workbench.steps import STEPS

TRAINABLE = st.sampled_from([Prune(ratio=0.3), Prune(granularity="weight"), Distill(epochs=2), Finetune(epochs=5)])


def keys(editor: RecipeEditor) -> list[str]:
    return [card.declared.key() for card in editor.cards]


@pytest.fixture
def editor() -> RecipeEditor:
    return RecipeEditor(["prune", "distill", "quantize"])


def test_it_starts_with_the_cards_it_is_given(editor):
    assert editor.recipe() == Recipe([Prune(), Distill(), Quantize()])
    assert list(editor.children[0].children) == editor.cards


@given(st.lists(TRAINABLE, max_size=4), st.booleans(), st.integers(0, 2**32 - 1))
def test_any_recipe_is_given_back_also_with_a_step_twice(steps, quantized, seed):
    editor = RecipeEditor(["prune", "quantize"])
    for recipe in (Recipe([*steps, *([Quantize()] if quantized else [])], seed=seed), Recipe([Prune()])):
        editor.load(recipe)
        assert editor.recipe() == recipe


def test_cards_without_a_part_in_a_recipe_stay_below_switched_off(editor):
    editor.load(Recipe([Quantize()]))
    assert keys(editor) == ["quantize", "prune", "distill"]
    assert [card.switch.value for card in editor.cards] == [True, False, False]


@pytest.mark.parametrize("key", list(STEPS))
def test_every_step_can_be_added_from_the_menu(editor, key):
    editor.menu.value = key
    assert keys(editor) == ["prune", "distill", "quantize", key]
    assert editor.menu.value == ADD


def test_cards_move_up_and_down_and_the_ends_cannot_be_left(editor):
    assert [(card.up.disabled, card.down.disabled) for card in editor.cards] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    editor.card("distill").up.click()
    assert keys(editor) == ["distill", "prune", "quantize"]
    assert editor.cards[0].up.disabled
    editor.card("distill").down.click()
    assert editor.recipe() == Recipe([Prune(), Distill(), Quantize()])


def test_a_card_can_be_removed_and_the_others_keep_their_knobs(editor):
    editor.card("prune").controls["ratio"].value = 0.7
    editor.card("distill").out.click()
    assert editor.recipe() == Recipe([Prune(ratio=0.7), Quantize()])


def test_the_meaning_of_the_order_is_told_as_it_changes(editor):
    assert "Quantize after Distill rounds what was trained" in editor.order.value
    editor.card("quantize").up.click()
    assert "Distill after Quantize is quantization-aware" in editor.order.value
    editor.card("distill").switch.value = False
    assert "Quantize after Prune chooses its grid" in editor.order.value
    assert "Distill" not in editor.order.value
    editor.menu.value = "quantize"
    assert "Quantize can&#x27;t follow Quantize" in editor.order.value


def test_what_makes_no_recipe_is_refused_when_asked_for(editor):
    editor.card("prune").controls["layers"].field.value = "conv1"
    with pytest.raises(WorkbenchError, match="names no layer and figure"):
        editor.recipe()


def test_what_the_knobs_stand_for_can_be_observed(editor):
    told = []
    editor.observe(lambda change: told.append(change["new"]), "current")
    editor.card("prune").controls["ratio"].value = 0.3
    editor.card("distill").switch.value = False
    assert told == [Recipe([Prune(ratio=0.3), Distill(), Quantize()]), Recipe([Prune(ratio=0.3), Quantize()])]
    editor.load(Recipe([Quantize(weight_bits=4)]))
    assert told[2:] == [Recipe([Quantize(weight_bits=4)])]  # at once, not knob by knob


def test_a_folded_card_tells_its_knobs_in_a_line(editor):
    card = editor.card("prune")
    assert card.body.layout.display == "none"
    card.controls["ratio"].value = 0.3
    assert card.gist.value == "30%"
    editor.fold(False)
    assert card.body.layout.display == ""
    card.switch.value = False
    assert card.body.layout.display == "none"
