"""Predicted against measured, drawn: every trial that was foreseen, and whether its interval held."""

import re

from widgets.foreseen import Foreseen, drawing
from workbench.estimates import Estimate
from workbench.prediction.calibration import Calibration

TWO = Calibration(
    "accuracy", [1, 2], [Estimate(value=0.9, low=0.8, high=0.95), Estimate(value=0.5, low=0.4, high=0.6)], [0.9, 0.7]
)


def circles(svg: str) -> list[tuple[str, float, float]]:
    """Each trial's mark: whether it held, and where it lies."""
    found = re.findall(r"<g class='(\S+)'>.*?<circle cx='([\d.]+)' cy='([\d.]+)'", svg)
    return [(kind, float(x), float(y)) for kind, x, y in found]


def test_a_trial_that_was_foreseen_exactly_lies_on_the_diagonal():
    svg = drawing(TWO)
    x1, y1, x2, y2 = map(float, re.search(r"<line x1='(\S+)' y1='(\S+)' x2='(\S+)' y2='(\S+)' class=", svg).groups())
    (kind, x, y), (other, _, _) = circles(svg)
    assert abs((y - y1) / (y2 - y1) - (x - x1) / (x2 - x1)) < 0.01
    assert (kind, other) == ("wb-held", "wb-missed")
    assert "Trial 2: predicted 50.0%, measured 70.0%" in svg


def test_figures_that_are_all_the_same_are_drawn_too():
    one = Estimate(value=5.0, low=5.0, high=5.0)
    assert len(circles(drawing(Calibration("size_bytes", [1], [one], [5.0])))) == 1


def test_a_study_that_foresaw_nothing_says_what_to_do(study):
    panel = Foreseen()
    panel.show(study)
    assert "Measure what predictions go by" in panel.value
