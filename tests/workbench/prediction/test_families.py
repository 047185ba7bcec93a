"""Which pruning is tried next: the ratio about which least is known, in each family in turn."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from workbench import Prune, Recipe
from workbench.prediction.families import END, ENOUGH, GRID, Family, explored, families, next_ratio
from workbench.prediction.prospect import COSTLY

ENDS = {0.0: 0.9, END: 0.1}


def test_every_family_can_be_had_is_named_once_and_quick_to_score() -> None:
    found = families()
    assert len(set(found)) == len(found)
    assert (
        found[0] == Family("l2") and Family("l1", "weight") in found and Family("l2", "channel", "global", 8) in found
    )
    assert not {family.importance for family in found} & set(COSTLY)
    assert {family.importance for family in families(["l1"])} == {"l1"}


def test_the_first_ratio_is_in_the_middle_where_nothing_is_known() -> None:
    assert next_ratio(ENDS) == pytest.approx(0.45, abs=GRID)


def test_the_widest_gap_of_accuracy_is_halved() -> None:
    assert next_ratio(ENDS | {0.5: 0.85}) == pytest.approx(0.7, abs=GRID)
    assert next_ratio(ENDS | {0.5: 0.15}) == pytest.approx(0.25, abs=GRID)


def test_a_curve_that_is_alike_says_where_the_cliff_is() -> None:
    guide = ENDS | {0.05: 0.89, 0.1: 0.88, 0.15: 0.5, 0.2: 0.12}
    assert next_ratio(ENDS, guide) == pytest.approx(0.15)


def test_nothing_is_asked_where_a_line_will_do() -> None:
    flat = {0.0: 0.9, 0.5: 0.9 - ENOUGH / 2, END: 0.9 - ENOUGH}
    assert next_ratio(flat) is None
    neighbours = {0.0: 0.9, 0.05: 0.5, 0.1: 0.1, END: 0.1}
    assert next_ratio(neighbours) is None


def pruning(recipe: Recipe) -> Prune:
    step = recipe.steps[0]
    assert isinstance(step, Prune)
    return step


def curve_of(recipe: Recipe) -> float:
    """A model that falls off a cliff, at a ratio that depends on the importance."""
    step = pruning(recipe)
    at = 0.3 if step.importance == "l1" else 0.2
    return 0.1 + 0.8 / (1 + float(np.exp((step.ratio - at) / 0.03)))


def explore(curve: Callable[[Recipe], float], asked: list[Family], most: int = 1000) -> dict[str, float]:
    found: dict[str, float] = {}
    for recipe in itertools.islice(explored(asked, lambda recipe: found.get(recipe.hash), 0.9, 0.1), most):
        found[recipe.hash] = curve(recipe)
    return found


def test_lines_between_what_was_tried_follow_a_cliff() -> None:
    asked = [Family("l2"), Family("l1")]
    found = explore(curve_of, asked)
    for family in asked:
        steps = [round(GRID * step, 2) for step in range(1, round(END / GRID))]
        known = {0.0: 0.9, END: 0.1} | {r: found[family.at(r).hash] for r in steps if family.at(r).hash in found}
        assert len(known) < 0.7 * len(steps)
        for ratio in steps:
            line = np.interp(ratio, sorted(known), [known[place] for place in sorted(known)])
            assert line == pytest.approx(curve_of(family.at(ratio)), abs=2 * ENOUGH)


def test_families_take_turns_and_one_that_cannot_be_had_is_left() -> None:
    asked = [Family("l2"), Family("l1"), Family("fpgm")]
    recipes = list(itertools.islice(explored(asked, lambda recipe: None, 0.9, 0.1), 10))
    assert [pruning(recipe).importance for recipe in recipes] == ["l2", "l1", "fpgm"]
