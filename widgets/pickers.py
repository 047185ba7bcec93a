"""Pick the model, dataset, runtime and device: or see which ones a given study has."""

from collections.abc import Callable
from html import escape
from pathlib import Path

import ipywidgets as w

from widgets.controls import STYLE, WIDE
from workbench import Study
from workbench.models import MODELS
from workbench.runtimes import RUNTIMES
from workbench.study import study_folder

DATASETS = {"mnist": "MNIST digits", "fashion_mnist": "Fashion-MNIST clothes", "cifar10": "CIFAR-10 photographs"}


class Pickers(w.VBox):
    """Four lists, each narrowed by the one above it.

    Parameters
    ----------
    study : Study or None
        A given study is only named: its parts are what they are.
    on_open : callable
        Called when another combination was picked.
    """

    def __init__(self, study: Study | None, on_open: Callable[[], None]):
        self._on_open = on_open
        if study is not None:
            s = study.settings
            what = f"<b>{escape(str(s['model']))}</b> on {escape(str(s['dataset']))}"
            super().__init__([w.HTML(f"{what}, {s['runtime']}, {s['device']}")])
            return
        models = [(m.title, name) for name, m in MODELS.items() if self._datasets(name)]
        self.model = _list("Model", models, "lenet5", "What to compress")
        self.dataset = _list("Dataset", self._datasets("lenet5"), "mnist", "What it was trained on and is judged by")
        here = [(r.title, name) for name, r in RUNTIMES.items() if r.version()]
        self.runtime = _list("Runtime", here, here[0][1], "What runs the file that ships")
        self.device = _list("Device", self._devices(here[0][1]), "cpu", "Where it runs")
        super().__init__([self.model, self.dataset, self.runtime, self.device])
        self.model.observe(self._narrow_dataset, "value")
        self.runtime.observe(self._narrow_device, "value")
        for picker in (self.model, self.dataset, self.runtime, self.device):
            picker.observe(lambda change: self._on_open(), "value")

    def study(self, folder: Path) -> Study:
        """The study of the picked combination, kept under `folder`."""
        names = (self.model.value, self.dataset.value, self.runtime.value, self.device.value)
        return Study(names[0], names[1], names[2], names[3], path=folder / study_folder(*names))

    def _narrow_dataset(self, change: dict) -> None:
        self.dataset.options = self._datasets(change["new"])

    def _narrow_device(self, change: dict) -> None:
        self.device.options = self._devices(change["new"])

    def _datasets(self, model: str) -> list[tuple[str, str]]:
        zoo = MODELS[model]
        return [(DATASETS.get(d, d), d) for d in zoo.training if zoo.weights(d).exists()]

    def _devices(self, runtime: str) -> list[tuple[str, str]]:
        titles = {"cpu": "Processor (cpu)", "cuda": "NVIDIA GPU (cuda)"}
        return [(titles[device], device) for device in RUNTIMES[runtime].devices_here()]


def _list(label: str, options: list[tuple[str, str]], value: str, help: str) -> w.Dropdown:
    return w.Dropdown(options=options, value=value, description=label, tooltip=help, layout=WIDE, style=STYLE)
