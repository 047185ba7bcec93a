"""The goals: one is pressed at a time, and each has its sentence."""

from widgets.goals import OWN, GoalButtons
from workbench.goals import GOALS


def test_there_is_a_button_for_each_goal_and_one_for_ones_own_way():
    assert list(GoalButtons(print).buttons) == [*GOALS, OWN]


def test_pressing_one_tells_its_name_and_releases_the_others():
    told = []
    goals = GoalButtons(told.append)
    goals.buttons["faster"].value = True
    assert (told, goals.chosen) == (["faster"], "faster")
    assert GOALS["faster"].says in goals.sentence.value
    goals.buttons["faster"].value = False  # pressing it again keeps it, and fills its recipe in once more
    assert [name for name, button in goals.buttons.items() if button.value] == ["faster"]
    assert told == ["faster", "faster"]


def test_what_the_knobs_stand_for_is_shown_without_telling():
    told = []
    goals = GoalButtons(told.append)
    goals.chosen = "smaller"
    assert goals.buttons["smaller"].value
    assert told == []
