"""What the trade-off plots draw: a measured trial as a point, any other as a mark on the margin."""

import math
from typing import Any

from widgets.said import said
from widgets.texts import text, translated
from widgets.words import recipe_words
from workbench import Trial
from workbench.metrics import bytes_text

# Okabe and Ito's palette, which colour-blind people can tell apart; shapes differ as well.
METHODS = {
    "Baseline": ("#8490a2", "star"),
    "Prune": ("#0072B2", "circle"),
    "Train": ("#009E73", "triangle"),
    "Quantize": ("#E69F00", "square"),
    "Prune + Train": ("#56B4E9", "diamond"),
    "Prune + Quantize": ("#D55E00", "hex"),
    "Train + Quantize": ("#F0E442", "inverted_triangle"),
    "Prune + Train + Quantize": ("#CC79A7", "plus"),
}
COLUMNS = (
    *("number", "size", "latency", "latency_low", "latency_high", "accuracy", "accuracy_low", "accuracy_high"),
    *("method", "color", "marker", "dot", "recipe", "size_text", "accuracy_text", "latency_text"),
)
MARGIN = 0.03  # of the frame's height, where what has no measured place is shown


def method(trial: Trial) -> str:
    """The kind of recipe, for colour and shape."""
    kinds = {kind for step in trial.recipe for kind in step.kinds}
    return " + ".join(name for name in ("Prune", "Train", "Quantize") if name in kinds) or "Baseline"


def margin(trials: list[Trial]) -> dict[str, list]:
    """Failed and cancelled trials, side by side along the bottom: a column for each name."""
    room = max(len(trials) + 1, 12)
    return {
        "number": [t.number for t in trials],
        "place": [(index + 1) / room for index in range(len(trials))],
        "height": [MARGIN] * len(trials),
        "recipe": [recipe_words(t.recipe) for t in trials],
        "reason": [said(t.reason) for t in trials],
    }


def point(trial: Trial, baseline: Trial) -> dict[str, Any]:
    """A measured trial: its value in each of `COLUMNS`."""
    m, b = trial.metrics, baseline.metrics
    assert m is not None and b is not None and b.latency is not None
    color, marker = METHODS[method(trial)]
    out: dict[str, Any] = {
        "number": trial.number,
        "size": m.size_bytes,
        "accuracy": m.score.value,
        "accuracy_low": m.score.low,
        "accuracy_high": m.score.high,
        "method": method(trial),
        "color": color,
        "marker": marker,
        "dot": 20 if marker == "star" else 13,
        "recipe": recipe_words(trial.recipe),
        "size_text": bytes_text(m.size_bytes),
        "accuracy_text": f"{m.score.text()} [{m.score.text(m.score.low)}, {m.score.text(m.score.high)}]",
    }
    if m.speedup is None and len(trial.recipe):
        told = text("plot.simulated") if m.simulated else text("plot.unpaired")
        out |= dict.fromkeys(("latency", "latency_low", "latency_high"), math.nan)
    elif m.speedup is None:
        latency = b.latency
        told = f"{latency.value:.3g} ms"
        out |= {"latency": latency.value, "latency_low": latency.low, "latency_high": latency.high}
    else:
        # only paired figures are comparable: the baseline's latency divided by the paired speed-up
        s, whole = m.speedup, b.latency.value
        verdict = translated("verdict", m.verdict, m.verdict)
        told = f"{whole / s.value:.3g} ms: {s.value:.2f}x [{s.low:.2f}, {s.high:.2f}], {verdict}"
        out |= {"latency": whole / s.value, "latency_low": whole / s.high, "latency_high": whole / s.low}
    return out | {"latency_text": told}
