"""What is to be compressed: some of its samples, and the figures of the baseline."""

import threading
from html import escape

import ipywidgets as w

from widgets.said import said
from widgets.texts import text
from workbench import Study, WorkbenchError
from workbench.metrics import Metrics, bytes_text
from workbench.questions import picture

SHOWN = 8  # samples


class ModelCard(w.HTML):
    """A strip of samples, each with its label, and what the baseline measures."""

    def __init__(self) -> None:
        super().__init__()
        self.add_class("wb-model")
        self._study: Study | None = None
        self._strip, self._figures = "", ""
        self._looking = False

    def show(self, study: Study | None) -> None:
        """Be about a study; its samples come when they are read."""
        if self._study is not study:
            self._study, self._strip, self._looking = study, "", False
        if study is not None and not self._strip and not self._looking:
            self._looking = True
            threading.Thread(target=self._look, args=[study], daemon=True).start()
        measured = next((t.metrics for t in study.trials if t.metrics and not len(t.recipe)), None) if study else None
        self._figures = _figures(measured) if measured else text("model.measuring") if study else ""
        if study is not None and study.settings["own"]:
            names = f"{study.settings['model']}, {study.settings['dataset']}"
            self._figures = f"<b>{text('model.own', names=escape(names))}</b> · {self._figures}"
        self._draw()

    def _look(self, study: Study) -> None:
        strip = ""
        try:
            strip = samples(study)
        except (WorkbenchError, OSError) as error:
            strip = f"<p class='wb-bad'>{escape(said(str(error)))}</p>"
        finally:  # without samples, the next look at the study tries again
            if self._study is study:
                self._strip, self._looking = strip, False
                self._draw()

    def _draw(self) -> None:
        self.value = f"<div class='wb-samples'>{self._strip}</div><p class='wb-figures'>{self._figures}</p>"


def samples(study: Study) -> str:
    """The first validation sample of each of the first classes."""
    split, names = study.dataset.validation, study.dataset.classes
    shown = []
    for label, name in enumerate(names[:SHOWN]):
        found = (split.labels == label).nonzero()[0]
        image = picture(split.inputs[found[0]]) if len(found) else ""
        if image:
            shown.append(f"<img src='{image}' alt='{escape(str(name))}' title='{escape(str(name))}'>")
    return "".join(shown)


def _figures(m: Metrics) -> str:
    latency = f"{m.latency.value:.3g} ms" if m.latency else "?"
    return text("model.figures", accuracy=m.score.text(), size=bytes_text(m.size_bytes), latency=latency)
