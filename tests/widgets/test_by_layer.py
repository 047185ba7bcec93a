"""The table by layer: it says what the text says, writes it, and has beside each layer what that layer alone costs."""

import pytest

from widgets.by_layer import USUAL, LayerFacts
from widgets.recipe_editor import RecipeEditor
from workbench import Prune, Quantize, Recipe, Study
from workbench.knobs import knobs
from workbench.steps import STEPS

FACTS = LayerFacts(
    {"prune": ["conv1", "fc1"], "quantize": ["conv1", "fc1", "fc2"]},
    {("ratio", "conv1"): [(0.1, 0.9), (0.5, 0.5), (0.9, 0.1)], ("bits", "fc2"): [(2.0, 0.2), (8.0, 0.8)]},
)


@pytest.fixture
def editor() -> RecipeEditor:
    made = RecipeEditor(["prune", "quantize"])
    for card in made.cards:
        card.offer(FACTS)
    return made


def table(editor: RecipeEditor, step: str):
    return editor.card(step).controls["layers"]


def test_a_list_for_each_layer_writes_the_recipe(editor):
    table(editor, "prune").lists["conv1"].value = 0.3
    table(editor, "quantize").lists["fc2"].value = 4
    assert editor.recipe() == Recipe([Prune(layers={"conv1": 0.3}), Quantize(layers={"fc2": 4})])
    table(editor, "prune").lists["conv1"].value = USUAL
    assert editor.recipe() == Recipe([Prune(), Quantize(layers={"fc2": 4})])


def test_a_layer_can_be_kept_as_it_is(editor):
    for step in ("prune", "quantize"):
        chosen = table(editor, step).lists["fc1"]
        chosen.value = next(value for label, value in chosen.options if label == "keep")
    assert editor.recipe() == Recipe([Prune(layers={"fc1": 0}), Quantize(layers={"fc1": 32})])


def test_what_is_loaded_or_written_is_shown_in_the_table_also_what_it_did_not_offer(editor):
    editor.load(Recipe([Prune(layers={"fc1": 0.37}), Quantize()]))
    assert table(editor, "prune").lists["fc1"].value == 0.37
    table(editor, "prune").field.value = "conv1=0.2, elsewhere=0.5"
    assert [chosen.value for chosen in table(editor, "prune").lists.values()] == [0.2, USUAL]
    table(editor, "prune").lists["fc1"].value = 0.9
    assert editor.recipe().steps[0].layers == {"conv1": 0.2, "elsewhere": 0.5, "fc1": 0.9}


def test_beside_a_layer_stands_what_it_costs_alone_at_its_figure(editor):
    prune, quantize = table(editor, "prune"), table(editor, "quantize")
    assert "alone 50.0%" in prune.hints["conv1"].value  # at the ratio of the step
    assert "alone" not in prune.hints["fc1"].value.split(">")[1]  # never measured
    editor.card("prune").controls["ratio"].value = 0.3
    assert "alone 70.0%" in prune.hints["conv1"].value
    prune.lists["conv1"].value = 0.9
    assert "alone 10.0%" in prune.hints["conv1"].value
    quantize.lists["fc2"].value = 2
    assert "alone 20.0%" in quantize.hints["fc2"].value


def test_the_layers_of_a_study_come_when_somebody_looks(study: Study, wait_until):
    editor = RecipeEditor(["prune", "quantize"])
    editor.about(study)
    assert table(editor, "prune").lists == {}
    editor.card("prune").folds[0].selected_index = 0
    wait_until(lambda: list(table(editor, "prune").lists) == ["conv1", "conv2", "fc1"])
    wait_until(lambda: list(table(editor, "quantize").lists) == ["conv1", "conv2", "fc1", "fc2"])
    editor.about(None)
    assert table(editor, "prune").lists == {}


def test_every_step_with_a_table_by_layer_has_its_layers_by_its_declaration_alone(study: Study):
    names = LayerFacts.of(study).names
    tables = {key: knob for key, step in STEPS.items() for knob in knobs(step) if knob.kind == "layers"}
    assert set(names) == set(tables) >= {"prune", "slim", "sparsify", "quantize", "shareweights"}
    assert all(names[key] == names["prune" if knob.of == "channels" else "quantize"] for key, knob in tables.items())
    assert "fc2" in names["sparsify"] and "fc2" not in names["slim"], "the classifier's outputs stay"


def test_sensitivity_is_shown_once_it_was_measured(few_digits, tmp_path):
    study = Study("lenet300", few_digits, path=tmp_path / "lenet300")
    assert LayerFacts.of(study).suffers == {}
    known = study.sensitivity()
    facts = LayerFacts.of(study)
    assert {layer for kind, layer in facts.suffers if kind == "bits"} == set(facts.names["quantize"])
    point = next(p for p in known.points if p.kind == "ratio" and p.value == 0.5)
    assert facts.alone("ratio", point.layer, 0.5) == pytest.approx(point.accuracy.value)
