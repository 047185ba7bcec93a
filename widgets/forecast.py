"""What a recipe would give, told beside the Run button before anything is done."""

import logging
import threading
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as w

from widgets.texts import text
from workbench import Recipe, Study, WorkbenchError
from workbench.metrics import bytes_text

PAUSE = 0.05  # seconds that the knobs rest before it is worth computing
log = logging.getLogger(__name__)


class Forecast(w.HTML):
    """The prediction for the recipe that the knobs stand for; computed in a thread, the newest recipe only.

    Parameters
    ----------
    on_point : callable
        Called with what `TradeoffPlot.foresee` takes: the point, or None.
    """

    def __init__(self, on_point: Callable[[dict[str, Any] | None], None]):
        super().__init__()
        self.add_class("wb-forecast")
        self._on_point = on_point
        self._asked: tuple[Study, Recipe] | None = None
        self._wake = threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    def ask(self, study: Study | None, recipe: Recipe | None) -> None:
        """Predict this recipe, instead of whatever was asked before; without one, say nothing."""
        self._asked = (study, recipe) if study is not None and recipe is not None and len(recipe) else None
        self._wake.set()

    def _work(self) -> None:
        while self.comm is not None:
            if not self._wake.wait(timeout=5):
                continue
            self._wake.clear()
            if self._wake.wait(timeout=PAUSE):
                continue
            asked = self._asked
            try:
                said, point = _forecast(*asked) if asked else ("", None)
            except WorkbenchError as refusal:
                said, point = escape(str(refusal)), None
            except Exception:  # a prediction is a convenience: without it, everything else still works
                log.exception("the prediction failed")
                said, point = "", None
            if asked is self._asked:
                self.value = said
                self._on_point(point)


def _forecast(study: Study, recipe: Recipe) -> tuple[str, dict[str, Any] | None]:
    """The words, and the point on both plots."""
    study.check(recipe)
    if not hasattr(study, "predict"):
        return "", None
    baseline = next((t.metrics for t in study.trials if t.metrics and not len(t.recipe)), None)
    if baseline is None:
        return text("forecast.baseline"), None
    p = study.predict(recipe)
    told = [bytes_text(p.size_bytes.value)]
    if p.accuracy:
        told.insert(0, f"{p.accuracy.value:.1%} [{p.accuracy.low:.1%}, {p.accuracy.high:.1%}]")
    if p.speedup:
        told.append(text("forecast.speed", ratio=f"{p.speedup.value:.1f}"))
    words = text("forecast", told=", ".join(told))
    if not p.accuracy:
        return words, None
    nan = float("nan")
    whole = baseline.latency.value if baseline.latency else nan
    point = {"told": words, "size": p.size_bytes.value, "size_low": p.size_bytes.low, "size_high": p.size_bytes.high}
    point |= {"accuracy": p.accuracy.value, "accuracy_low": p.accuracy.low, "accuracy_high": p.accuracy.high}
    s = p.speedup
    point |= {
        "latency": whole / s.value if s else nan,
        "latency_low": whole / s.high if s else nan,
        "latency_high": whole / s.low if s else nan,
    }
    return words, point
