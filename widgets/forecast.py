"""What a recipe would give, told beside the Run button before anything is done."""

import logging
import threading
import time
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as w

from widgets.said import said
from widgets.texts import text
from workbench import Cancelled, Recipe, Study, WorkbenchError
from workbench.metrics import bytes_text
from workbench.steps.finetune import Training
from workbench.tasks import Task, any_running

PAUSE = 0.01  # seconds that the knobs rest before it is worth computing
REST = 1.0  # seconds that they rest before the recipe itself is tried on some samples
SETTLE = 2.0  # seconds that the page has to appear, before the first prediction imports what it needs
ROUGH = 0.02  # share of the bytes from which on their interval is told, too
LOOK = 0.3  # seconds between two looks at the progress
log = logging.getLogger(__name__)
Point = dict[str, Any] | None


class Forecast(w.VBox):
    """The prediction for the recipe that the knobs stand for; computed in a thread, the newest recipe only.

    Where the knobs rest, the recipe itself is tried on some samples, if that is quick and no trial runs.

    Parameters
    ----------
    on_point : callable
        Called with what `TradeoffPlot.foresee` takes: the point, or None.
    prepare : callable
        Has the study measure what predictions go by; returns the task of it.
    shown : bool
        Whether the page is there already when this is asked first.
    """

    def __init__(self, on_point: Callable[[Point], None], prepare: Callable[[Study], Task], shown: bool = False):
        self._on_point, self._prepare, self._settled = on_point, prepare, shown
        self._task: Task | None = None
        self._asked: tuple[Study, Recipe] | None = None
        self._why = ""
        self._impossible: tuple[Recipe, WorkbenchError] | None = None
        self.lacking = False  # a baseline, or what accuracy is predicted by
        self._wake = threading.Event()
        self.words = w.HTML()
        self.ready = w.Button(description=text("forecast.prepare"), layout=w.Layout(width="auto", display="none"))
        self.ready.on_click(lambda _: self._measure())
        super().__init__([self.words, self.ready])
        self.add_class("wb-forecast")
        threading.Thread(target=self._work, daemon=True).start()

    def ask(self, study: Study | None, recipe: Recipe | None, why: str = "") -> None:
        """Predict this recipe, instead of whatever was asked before; without one, say why there is none, if known."""
        if self._asked is not None and self._asked[0] is not study:
            self.words.value = ""  # what was told is of another study
        self._asked = (study, recipe) if study is not None and recipe is not None and len(recipe) else None
        self._why = why
        self._wake.set()

    def check(self, recipe: Recipe) -> None:
        """Raise what was found against this very recipe."""
        if self._impossible is not None and self._impossible[0] == recipe:
            raise self._impossible[1]

    def _work(self) -> None:
        while self.comm is not None:
            if not self._wake.wait(timeout=5):
                continue
            if not self._settled:
                self._settled = True
                time.sleep(SETTLE)
            self._wake.clear()
            if self._wake.wait(timeout=PAUSE):
                continue
            asked = self._asked
            try:
                words, point, known = forecast(*asked) if asked else (_bad(self._why), None, True)
            except WorkbenchError as refusal:
                words, point, known = _bad(str(refusal)), None, True
                self._impossible = (asked[1], refusal) if asked else None
            except Exception:  # a prediction is a convenience: without it, everything else still works
                log.exception("the prediction failed")
                words, point, known = "", None, True
            if asked is self._asked:
                self.lacking = not known or words == text("forecast.baseline")
                self.words.value = words
                self._offer(not known)
                self._on_point(point)
                if asked and point and not self._wake.wait(timeout=REST):
                    self._look(*asked)

    def _look(self, study: Study, recipe: Recipe) -> None:
        """Try the recipe itself on some samples, where that takes a second and disturbs no measurement."""
        try:
            busy = any(trial.state in ("waiting", "running") for trial in study.trials)
            if busy or any_running(study) or not study.predict(recipe).quick:
                return
            study.predict(recipe, look=True)
            words, point, _ = forecast(study, recipe)
        except WorkbenchError:  # a trial will say why
            return
        except Exception:  # as above
            log.exception("the look failed")
            return
        if self._asked == (study, recipe):
            self.words.value = words
            self._on_point(point)

    def _offer(self, needed: bool) -> None:
        self.ready.layout.display = "" if needed or self._task is not None else "none"

    def _measure(self) -> None:
        """Begin to measure; pressed again while it runs, stop."""
        if self._task is not None:
            self.ready.disabled, self.ready.description = True, text("work.stopping")
            self._task.cancel()
        elif self._asked is not None:
            try:
                self._task = self._prepare(self._asked[0])
            except WorkbenchError as error:
                self.words.value = _bad(str(error))
                return
            threading.Thread(target=self._follow, args=(self._task,), daemon=True).start()

    def _follow(self, task: Task) -> None:
        while not task.done():
            if not self.ready.disabled:
                share = (task.progress() or {}).get("share", 0.0)
                self.ready.description = text("forecast.preparing", share=f"{share:.0%}")
            time.sleep(LOOK)
        error: WorkbenchError | None = None
        try:
            task.result()
        except WorkbenchError as refusal:
            error = refusal
        self._task = None
        self.ready.disabled, self.ready.description = False, text("forecast.prepare")
        if error is not None and not isinstance(error, Cancelled):
            self.words.value = _bad(str(error))
        else:
            self._wake.set()


def _bad(sentence: str) -> str:
    return f"<span class='wb-bad'>{escape(said(sentence))}</span>" if sentence else ""


def forecast(study: Study, recipe: Recipe) -> tuple[str, Point, bool]:
    """The words, the point on both plots, and whether all that predictions go by is known."""
    study.check(recipe)
    baseline = next((t.metrics for t in study.trials if t.metrics and not len(t.recipe)), None)
    if baseline is None:
        return text("forecast.baseline"), None, True
    p = study.predict(recipe)
    size = p.size_bytes
    wide = size.high - size.low > ROUGH * size.value
    told = [bytes_text(size.value) + (f" [{bytes_text(size.low)}, {bytes_text(size.high)}]" if wide else "")]
    if p.accuracy:
        told.insert(0, f"{p.accuracy.value:.1%} [{p.accuracy.low:.1%}, {p.accuracy.high:.1%}]")
    if p.speedup:
        told.append(text("forecast.speed", ratio=f"{p.speedup.value:.1f}"))
    tried = p.looked and not any(isinstance(step, Training) for step in recipe)
    words = text("forecast.tried" if tried else "forecast", told=", ".join(told))
    notes = escape(" ".join(map(said, p.notes)), quote=True)
    shown = f'<span title="{notes}">{words}{" *" if notes else ""}</span>'
    shown += "".join(f"<p class='wb-hint'>{escape(said(warning))}</p>" for warning in p.warnings)
    if not p.accuracy:
        return shown, None, p.prepared
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
    return shown, point, True
