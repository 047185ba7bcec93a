"""How a search goes: how much of the ideal its front covers as time goes by, and which knobs decide, as drawings."""

from collections.abc import Mapping, Sequence
from html import escape

from widgets.texts import text
from widgets.told import dimension
from widgets.told import objective as named

WIDTH, HEIGHT = 300, 120  # as wide as the panel, so that its letters are as large as they say
LEFT, RIGHT, TOP, BOTTOM = 34, 8, 10, 20
KNOBS = 6
LEAST = 0.005  # of the variance, that is worth a row


def covered(history: Sequence[Sequence[float]]) -> str:
    """An SVG of the hypervolume over the seconds since the search began; "" where it has no trial yet.

    Parameters
    ----------
    history : sequence of (seconds, share)
        One for each trial, in order; between them the share stays as it was.
    """
    if len(history) < 2:
        return ""
    end = max(seconds for seconds, _ in history) or 1.0
    top = max(share for _, share in history) * 1.1 or 1.0
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    places = [(LEFT + across * seconds / end, HEIGHT - BOTTOM - down * share / top) for seconds, share in history]
    stairs = [places[0]]
    for x, y in places[1:]:
        stairs += [(x, stairs[-1][1]), (x, y)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in stairs)
    dots = "".join(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='2.5' style='fill:var(--accent)'/>" for x, y in places)
    key = "find.covered.one" if len(history) == 2 else "find.covered"
    told = text(key, share=f"{history[-1][1]:.1%}", trials=len(history) - 1)
    frame = f"<rect x='{LEFT}' y='{TOP}' width='{across}' height='{down}' class='wb-frame'/>"
    scale = "".join(
        f"<text x='{LEFT - 6}' y='{y}' text-anchor='end'>{share:.0%}</text>"
        for share, y in ((top, TOP + 8), (0.0, HEIGHT - BOTTOM))
    )
    axis = text("find.seconds", seconds=f"{end:.0f}")
    scale += f"<text x='{WIDTH - RIGHT}' y='{HEIGHT - 6}' text-anchor='end'>{escape(axis)}</text>"
    line = f"<polyline points='{path}' style='stroke:var(--accent)'/>"
    label = escape(told, quote=True)
    inside = frame + line + dots + scale
    return _figure(told, f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{label}'>{inside}</svg>")


def deciding(importance: Mapping[str, Mapping[str, float]]) -> str:
    """Bars of what share of the first objective's variance each knob accounts for; "" where that is not known yet.

    Parameters
    ----------
    importance : mapping
        By objective, by knob.
    """
    objective, shares = next(((name, shares) for name, shares in importance.items() if shares), ("", {}))
    most = sorted(shares.items(), key=lambda pair: pair[1], reverse=True)[:KNOBS]
    rows = "".join(
        f"<li><span>{escape(dimension(knob))}</span><b>{share:.0%}</b><i style='width:{share:.1%}'></i></li>"
        for knob, share in most
        if share >= LEAST
    )
    told = text("find.deciding", objective=named(objective))
    return _figure(told, f"<ul class='wb-deciding'>{rows}</ul>") if rows else ""


def _figure(told: str, inside: str) -> str:
    return f"<figure class='wb-curve'><figcaption>{escape(told)}</figcaption>{inside}</figure>"
