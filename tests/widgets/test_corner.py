"""The legend goes where it hides the least."""

import math

import pytest

from widgets.corner import free_corner


@pytest.mark.parametrize(
    ("points", "corner"),
    [
        ([], "bottom_right"),
        ([(0, 0), (1, 1)], "bottom_right"),
        ([(0, 1), (1, 1), (1, 0)], "bottom_left"),
        ([(0, 1), (1, 0), (0, 0)], "top_right"),
        ([(1, 0), (1, 1), (0, 0)], "top_left"),
        ([(1, 0), (1, 1), (0, 0), (math.nan, 1)], "top_left"),
    ],
)
def test_it_is_the_corner_with_the_fewest_points(points, corner):
    assert free_corner([x for x, _ in points], [y for _, y in points]) == corner


def test_marks_on_the_lower_margin_count_too():
    corners = [(0, 1), (1, 1), (1, 0)]
    assert free_corner([x for x, _ in corners], [y for _, y in corners], below=[0.1, 0.2]) == "bottom_right"
    assert free_corner([], [], below=[0.9]) == "top_right"


def test_on_a_logarithmic_axis_distances_are_those_on_the_screen():
    sizes, heights = [1e3, 3e4, 1e6], [1.0, 0.0, 1.0]
    assert free_corner(sizes, heights) == "bottom_right"
    assert free_corner(sizes, heights, log=True) == "bottom_right"
    assert free_corner([1e3, 4e4, 1e6], heights, log=True) == "bottom_left"
