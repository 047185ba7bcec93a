"""How a training goes: its loss, and its accuracy or score on the validation split, as a small drawing."""

from collections.abc import Sequence
from html import escape
from typing import Any

from widgets.texts import text

WIDTH, HEIGHT = 460, 120
LEFT, RIGHT, TOP, BOTTOM = 46, 52, 10, 22
MOST = 200  # points of a line


def curve(facts: Sequence[dict[str, Any]]) -> str:
    """An SVG of the progress facts of one trial; "" where it does not train."""
    losses = [(place, fact["loss"]) for place, fact in _placed(facts) if "loss" in fact]
    judged = [(place, fact) for place, fact in _placed(facts) if _reached(fact) is not None]
    reached = [(place, float(_reached(fact) or 0.0)) for place, fact in judged]
    if len(losses) < 2:
        return ""
    end = max(place for place, _ in [*losses, *reached])
    losses = losses[:: max(1, len(losses) // MOST)]
    low, high = _range([loss for _, loss in losses], 0.0)
    lines = [_line(losses, end, low, high, "wb-loss"), _scale(low, high, LEFT - 6, "end", "{:.3g}")]
    told = text("curve.loss", loss=f"{losses[-1][1]:.3f}")
    if reached:
        bottom, top = _range([share for _, share in reached], None)
        lines += [_line(reached, end, bottom, top, "wb-reached", dots=True)]
        score, share = judged[-1][1].get("score"), f"{reached[-1][1]:.2%}"
        lines += [_scale(bottom, top, WIDTH - RIGHT + 6, "start", "{:.3g}" if score else "{:.1%}")]
        told += ", " + (escape(score) if score else text("curve.accuracy", accuracy=share))
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    frame = f"<rect x='{LEFT}' y='{TOP}' width='{across}' height='{down}' class='wb-frame'/>"
    epochs = text("curve.epochs", count=f"{end:.3g}")
    axis = f"<text x='{LEFT + across / 2}' y='{HEIGHT - 6}' text-anchor='middle'>{epochs}</text>"
    drawing = f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{told}'>{frame}{''.join(lines)}{axis}</svg>"
    return f"<figure class='wb-curve'><figcaption>{told}</figcaption>{drawing}</figure>"


def _placed(facts: Sequence[dict[str, Any]]) -> list[tuple[float, dict[str, Any]]]:
    """Each fact of a training with the epochs gone by since the trial's first one; trainings follow each other."""
    placed, before, last, stage = [], 0.0, 0.0, None
    for fact in facts:
        if "epoch" not in fact:
            continue
        if fact["stage"] != stage:
            before, stage = before + last, fact["stage"]
        last = float(fact["epoch"])
        placed.append((before + last, fact))
    return placed


def _reached(fact: dict[str, Any]) -> float | None:
    """The accuracy or score that a fact tells of, if it does."""
    accuracy = fact.get("accuracy")
    return fact.get("reached") if accuracy is None else accuracy


def _range(values: Sequence[float], floor: float | None) -> tuple[float, float]:
    low, high = min(values) if floor is None else floor, max(values)
    room = 0.05 * (high - low) or 0.01
    return (low - room if floor is None else low), high + room


def _line(
    points: Sequence[tuple[float, float]], end: float, low: float, high: float, kind: str, dots: bool = False
) -> str:
    across, down = (WIDTH - LEFT - RIGHT) / (end or 1), (HEIGHT - TOP - BOTTOM) / (high - low)
    places = [(LEFT + x * across, HEIGHT - BOTTOM - (y - low) * down) for x, y in points]
    marks = "".join(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' class='{kind}'/>" for x, y in places) if dots else ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f"<polyline points='{path}' class='{kind}'/>{marks}"


def _scale(low: float, high: float, x: float, anchor: str, form: str) -> str:
    ends = ((high, TOP + 8), (low, HEIGHT - BOTTOM))
    return "".join(f"<text x='{x}' y='{y}' text-anchor='{anchor}'>{form.format(value)}</text>" for value, y in ends)
