"""Predicted against measured: how far this study's predictions can be trusted."""

from html import escape
from typing import Any

import ipywidgets as w

from widgets.said import said
from widgets.texts import text
from workbench import Study
from workbench.metrics import bytes_text

SIDE, LEFT, BOTTOM, TOP = 200, 58, 34, 8
SHOWN = {"accuracy": "{:.1%}".format, "looked": "{:.1%}".format, "size_bytes": bytes_text, "speedup": "{:.2g}x".format}


class Foreseen(w.HTML):
    """A drawing for each figure: what was foreseen across, with its interval, and what was measured upwards."""

    def show(self, study: Study) -> None:
        """Draw every trial of a study that was foreseen before it ran."""
        found = study.calibration()
        if not found:
            self.value = f"<p class='wb-hint'>{text('foreseen.none')}</p>"
            return
        told = "".join(f"<li>{escape(said(figure.sentence()))}</li>" for figure in found)
        drawings = "".join(drawing(figure) for figure in found)
        self.value = f"<ul>{told}</ul><div class='wb-foreseen'>{drawings}</div>"


def drawing(figure: Any) -> str:
    """One figure over all trials (a `Calibration`) as an SVG; what was foreseen rightly lies on the diagonal."""
    ends = [value for p in figure.predicted for value in (p.low, p.high)] + figure.measured
    low, high = min(ends), max(ends)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - room, high + room
    across = high - low
    told, name = SHOWN[figure.name], text(f"foreseen.{figure.name}")

    def x(value: float) -> float:
        return LEFT + SIDE * (value - low) / across

    def y(value: float) -> float:
        return TOP + SIDE * (high - value) / across

    marks = []
    for number, p, measured in zip(figure.trials, figure.predicted, figure.measured, strict=True):
        held = "wb-held" if p.low <= measured <= p.high else "wb-missed"
        what = text("foreseen.point", number=number, predicted=told(p.value), measured=told(measured))
        marks.append(
            f"<g class='{held}'><title>{what}</title>"
            f"<line x1='{x(p.low):.1f}' x2='{x(p.high):.1f}' y1='{y(measured):.1f}' y2='{y(measured):.1f}'/>"
            f"<circle cx='{x(p.value):.1f}' cy='{y(measured):.1f}' r='4'/></g>"
        )
    bottom, right = TOP + SIDE, LEFT + SIDE
    frame = f"<rect x='{LEFT}' y='{TOP}' width='{SIDE}' height='{SIDE}' class='wb-frame'/>"
    diagonal = f"<line x1='{LEFT}' y1='{bottom}' x2='{right}' y2='{TOP}' class='wb-diagonal'/>"
    words = [
        (LEFT, bottom + 13, "start", told(low + room)),
        (right, bottom + 13, "end", told(high - room)),
        (LEFT + SIDE / 2, bottom + 28, "middle", text("foreseen.across")),
        (LEFT - 5, TOP + 10, "end", told(high - room)),
        (LEFT - 5, bottom, "end", told(low + room)),
    ]
    labels = "".join(f"<text x='{a}' y='{b}' text-anchor='{anchor}'>{word}</text>" for a, b, anchor, word in words)
    size = f"0 0 {right + 8} {bottom + BOTTOM}"
    inside = f"{frame}{diagonal}{''.join(marks)}{labels}"
    picture = f"<svg viewBox='{size}' role='img' aria-label='{name}'>{inside}</svg>"
    return f"<figure><figcaption>{name}</figcaption>{picture}</figure>"
