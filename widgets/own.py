"""Bring your own: data and weights as files, looked at before any work."""

import threading
from collections.abc import Callable
from html import escape
from pathlib import Path

import ipywidgets as w

from widgets.model_card import samples
from widgets.said import said
from widgets.texts import text
from widgets.upload import Upload
from workbench import Study, WorkbenchError
from workbench.handed import Origin, open_handed, weights_of
from workbench.models import MODELS


class OwnFiles(w.VBox):
    """Two files, the architecture they are for, and a look at what is in them.

    Parameters
    ----------
    where : callable
        Gives the folder of studies, the runtime and the device.
    on_open : callable
        Called with the study, in a thread of this panel.
    """

    def __init__(self, where: Callable[[], tuple[Path, str, str]], on_open: Callable[[Study], None]):
        self._where, self._on_open = where, on_open
        self.data, self.weights = Upload("own.data", ".npz,.zip"), Upload("own.weights", ".safetensors")
        self.architecture = w.Dropdown(
            options=[(model.title, name) for name, model in MODELS.items()],
            value="lenet5",
            description=text("own.architecture"),
            tooltip=text("own.architecture.help"),
            layout=w.Layout(width="auto"),
            style={"description_width": "84px"},
        )
        self.leave_out = w.Checkbox(value=False, description=text("own.leave_out"), indent=False)
        self.button = w.Button(description=text("own.open"), tooltip=text("own.open.help"), disabled=True)
        self.button.layout = w.Layout(width="auto")
        self.report = w.HTML()
        hint = w.HTML(f"<p class='wb-hint'>{text('own.hint')}</p>")
        super().__init__([hint, self.data, self.weights, self.architecture, self.leave_out, self.button, self.report])
        self.add_class("wb-own")
        self.data.observe(lambda _: self._chosen(), "file")
        self.button.on_click(lambda _: self.look())

    def look(self) -> None:
        """Read the files in a thread, then open the study that they make."""
        if self.data.file is None:
            return
        self.button.disabled = True
        self.report.value = f"<p class='wb-hint'>{text('own.reading')}</p>"
        threading.Thread(target=self._open, daemon=True).start()

    def _chosen(self) -> None:
        self.button.disabled = self.data.file is None
        self.report.value = ""

    def _open(self) -> None:
        try:
            data, architecture = self.data.file, self.architecture.value
            assert data is not None
            folder, runtime, device = self._where()
            weights = self.weights.file or weights_of(architecture, next(iter(MODELS[architecture].training)))
            origin = Origin(data[0], weights[0], architecture, runtime, device, self.leave_out.value)
            study, handed = open_handed(folder, data, weights, origin)
            self.report.value = _seen(study, handed.left_out)
            self._on_open(study)
        except WorkbenchError as refusal:
            self.report.value = f"<div role='alert'>{escape(said(str(refusal)))}</div>"
        except Exception as error:  # whatever it is, nobody is to wait for it for ever
            told = text("refuse.unexpected", what=f"{type(error).__name__}: {error}")
            self.report.value = f"<div role='alert'>{escape(told)}</div>"
            raise
        finally:
            self.button.disabled = False


def _seen(study: Study, left_out: list[str]) -> str:
    data = study.dataset
    counts = len(data.train), len(data.validation), len(data.test) if data.test else 0
    shape = " x ".join(map(str, data.sample_shape))
    told = text("own.seen", counts=" + ".join(f"{n:,}" for n in counts), shape=shape, classes=len(data.classes))
    lost = f"<p class='wb-bad'>{text('own.lost', names=escape(', '.join(left_out)))}</p>" if left_out else ""
    return f"<p class='wb-hint'>{told}</p><div class='wb-samples'>{samples(study)}</div>{lost}{_layers(study)}"


def _layers(study: Study) -> str:
    """Each layer with weights, how many it has, and what can be done to it."""
    can = study.changeable()
    rows = [
        f"<tr><th scope='row'>{escape(name)}</th><td>{type(layer).__name__}</td>"
        f"<td>{' x '.join(map(str, layer.weight.shape))}</td><td>{_doable(name, can)}</td></tr>"
        for name, layer in study.module.named_modules()
        if getattr(layer, "weight", None) is not None
    ]
    summary = text("own.layers", count=len(rows))
    return f"<details><summary>{summary}</summary><div class='wb-scroll'><table>{''.join(rows)}</table></div></details>"


def _doable(layer: str, can: dict[str, list[str]]) -> str:
    return ", ".join(text(f"own.can.{what}") for what in ("prune", "quantize") if layer in can.get(what, []))
