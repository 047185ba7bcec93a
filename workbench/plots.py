"""Scatter plots for the report: points with intervals, on scales with round ticks, as plain geometry."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from workbench.estimates import Score

# Okabe and Ito's palette, which colour-blind people can tell apart; shapes differ as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a7a00")
SHAPES = {
    "circle": "M-6,0 a6,6 0 1,0 12,0 a6,6 0 1,0 -12,0z",
    "square": "M-5.5,-5.5 h11 v11 h-11z",
    "triangle": "M0,-7 L6.5,5 h-13z",
    "diamond": "M0,-7.5 L7.5,0 L0,7.5 L-7.5,0z",
    "hexagon": "M-3.5,-6 h7 L7,0 L3.5,6 h-7 L-7,0z",
}
STAR = "M0,-9 L2.2,-3 8.6,-2.8 3.5,1.2 5.3,7.3 0,3.7 -5.3,7.3 -3.5,1.2 -8.6,-2.8 -2.2,-3z"
WIDTH, HEIGHT = 560, 360
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 14, 46
TRAILING = re.compile(r"\.0+(?=\s|$)")
ACCURACY = Score(value=1.0, low=1.0, high=1.0)
MARGIN = 0.06  # of each scale, left free at its ends


@dataclass(frozen=True)
class Point:
    """One trial: its place, its intervals, and the facts that are shown on hover."""

    number: int
    kind: str
    x: float
    spread: tuple[float, float] | None
    y: float
    low: float
    high: float
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Plot:
    """A score against something.

    Attributes
    ----------
    title, label : str
    points : list of Point
    front : set of int
        Numbers of the trials that the Pareto line joins.
    log : bool
        Whether the horizontal scale is walked by factors.
    text : callable
        A figure on the horizontal scale in words.
    score : Score
        Any score of the task: what is better lies higher, and accuracies never above 100 %.
    """

    title: str
    label: str
    points: list[Point]
    front: set[int]
    log: bool = False
    text: Callable[[float], str] = str
    score: Score = ACCURACY

    @cached_property
    def styles(self) -> dict[str, tuple[str, str]]:
        """Colour and outline for each kind of recipe."""
        kinds = dict.fromkeys(point.kind for point in self.points if point.kind != "Baseline")
        shapes = list(SHAPES.values())
        found = {kind: (COLOURS[i % len(COLOURS)], shapes[i % len(shapes)]) for i, kind in enumerate(kinds)}
        return {"Baseline": ("currentColor", STAR)} | found

    @cached_property
    def _x(self) -> tuple[float, float]:
        ends = [x for point in self.points for x in (point.x, *(point.spread or ()))]
        return _widened([self._scale(x) for x in ends])

    @cached_property
    def _y(self) -> tuple[float, float]:
        low, high = _widened([y for point in self.points for y in (point.low, point.high)])
        return low, (min(high, 1.0 + MARGIN * (1 - low)) if self.score.unit == "share" else high)

    def _scale(self, x: float) -> float:
        return math.log10(x) if self.log else x

    def x(self, value: float) -> float:
        """Where a figure lies across, in pixels."""
        low, high = self._x
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (self._scale(value) - low) / (high - low), 1)

    def y(self, value: float) -> float:
        """Where a score lies down, in pixels."""
        low, high = self._y[:: self.score.better]
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low), 1)

    @property
    def x_ticks(self) -> list[tuple[float, str]]:
        """Places and texts along the horizontal scale."""
        low, high = self._x
        values = _log_ticks(10**low, 10**high) if self.log else round_ticks(low, high, 6)
        return [(self.x(value), TRAILING.sub("", self.text(value))) for value in values]

    @property
    def y_ticks(self) -> list[tuple[float, str]]:
        """Places and texts along the vertical scale."""
        low, high = self._y
        share = self.score.unit == "share"
        values = [value for value in round_ticks(low, high, 6) if value <= 1 or not share]
        if not share:
            return [(self.y(value), f"{value:.6g}") for value in values]
        digits = max(0, -math.floor(math.log10(values[1] - values[0])) - 2) if len(values) > 1 else 1
        return [(self.y(value), f"{value:.{digits}%}") for value in values]

    @property
    def line(self) -> str:
        """The Pareto front, as the corner points of a staircase."""
        best = sorted((point.x, point.y) for point in self.points if point.number in self.front)
        corners = [f"{self.x(x)},{self.y(y)}" for x, y in best]
        steps = [f"{self.x(after[0])},{self.y(before[1])}" for before, after in zip(best, best[1:], strict=False)]
        return " ".join(corner for pair in zip(corners, [*steps, ""], strict=True) for corner in pair if corner)


def round_ticks(low: float, high: float, count: int) -> list[float]:
    """At most about so many round numbers (1, 2 or 5 times a power of ten apart) within a range."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(step * n, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**power for power in powers for m in (1, 2, 5) if low <= m * 10.0**power <= high]
    return ticks if len(ticks) > 2 else round_ticks(low, high, 4)


def _widened(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = MARGIN * (high - low) or MARGIN * abs(high) or 1.0
    return low - room, high + room
