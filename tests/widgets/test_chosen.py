"""The chosen trial: its pages are made when they are looked at, and it is compared with what the user picks."""

from concurrent.futures import Future

import pytest

from widgets.chosen import TABS, Chosen
from workbench.tasks import Task


@pytest.fixture
def asked() -> list:
    return []


@pytest.fixture
def chosen(asked, study) -> Chosen:
    def ask(trial, question, against):
        asked.append((trial.number, question, against))
        return Future()

    for file in study.storage.folder(1).glob("answer-*.json"):
        file.unlink()
    return Chosen(ask, lambda study, name: Task(study, name, Future()))


def look(chosen: Chosen, tab: str) -> None:
    chosen.tabs.selected_index = TABS.index(tab)


def test_a_page_is_made_when_it_is_looked_at(chosen, asked, study):
    chosen.show(study.trial(1))
    assert (asked, chosen.recipe.value, chosen.files.value) == ([], "", "")
    look(chosen, "recipe")
    assert "YAML" in chosen.recipe.value
    look(chosen, "files")
    assert "lenet5-mnist-1.onnx" in chosen.files.value
    look(chosen, "why")
    assert asked == [(1, "exports", None), (1, "why", None)]


def test_the_page_that_is_open_follows_the_trial(chosen, study):
    look(chosen, "files")
    for number in (1, 0):
        chosen.show(study.trial(number))
        assert f"lenet5-mnist-{number}.onnx" in chosen.files.value


def test_any_measured_trial_can_be_compared_with_any_other(chosen, asked, study):
    chosen.show(study.baseline)
    assert [number for _, number in chosen.against.options][1:] == [1]  # 2 and 3 were not measured
    assert "not against each other" not in chosen.card.value
    chosen.against.value = 1
    assert "not against each other" in chosen.card.value
    look(chosen, "layers")
    assert asked == [(0, "changes", 1)]


def test_several_trials_stand_side_by_side(chosen, study):
    look(chosen, "recipe")
    chosen.side_by_side([study.trial(0), study.trial(1)])
    assert chosen.tabs.selected_index == 0
    assert "2 trials side by side" in chosen.heading.value
