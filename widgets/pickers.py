"""Pick the model, dataset, runtime and device: or see which ones a given study has."""

from collections.abc import Callable
from html import escape
from pathlib import Path

import ipywidgets as w

from widgets.controls import WIDE
from widgets.texts import text
from workbench import Study, WorkbenchError
from workbench.handed import reopen
from workbench.models import MODELS
from workbench.runtimes import RUNTIMES
from workbench.study import study_folder

DATASETS = {"mnist": "MNIST digits", "fashion_mnist": "Fashion-MNIST clothes", "cifar10": "CIFAR-10 photographs"}


class Pickers(w.VBox):
    """Four lists, each narrowed by the one above it; runtime and device are folded away.

    Parameters
    ----------
    study : Study or None
        A given study is only named: its parts are what they are.
    on_open : callable
        Called when another combination was picked.
    """

    def __init__(self, study: Study | None, on_open: Callable[[], None]):
        self._on_open, self._quiet = on_open, False
        if study is not None:
            s = study.settings
            what = f"<b>{escape(str(s['model']))}</b> on {escape(str(s['dataset']))}"
            super().__init__([w.HTML(f"{what}, {s['runtime']}, {s['device']}")])
            return
        models = [(m.title, name) for name, m in MODELS.items() if self._datasets(name)]
        self.model = _list("model", models, "lenet5")
        self.dataset = _list("dataset", self._datasets("lenet5"), "mnist")
        here = [(r.title, name) for name, r in RUNTIMES.items() if r.version()]
        self.runtime = _list("runtime", here, here[0][1])
        self.device = _list("device", self._devices(here[0][1]), "cpu")
        fold = w.Accordion([w.VBox([self.runtime, self.device])], titles=(text("pick.more"),), selected_index=None)
        super().__init__([self.model, self.dataset, fold.add_class("wb-more")])
        self.model.observe(self._narrow_dataset, "value")
        self.runtime.observe(self._narrow_device, "value")
        for picker in (self.model, self.dataset, self.runtime, self.device):
            picker.observe(lambda change: None if self._quiet else self._on_open(), "value")

    def study(self, folder: Path) -> Study:
        """The study of the picked combination, kept under `folder`."""
        names = (self.model.value, self.dataset.value, self.runtime.value, self.device.value)
        return Study(names[0], names[1], names[2], names[3], path=folder / study_folder(*names))

    def picked(self) -> tuple[str, ...]:
        """Model, dataset, runtime and device as they are picked; () where a study was given."""
        return tuple(picker.value for picker in self._lists())

    def pick(self, values: tuple) -> None:
        """Pick without opening anything."""
        self._quiet = True
        try:
            for picker, value in zip(self._lists(), values, strict=True):
                picker.value = value
        finally:
            self._quiet = False

    def find(self, folder: Path, name: str) -> Study:
        """The study of that name under `folder`, which is picked then.

        Raises
        ------
        WorkbenchError
            If there is none.
        """
        known = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
        if name not in known:
            raise WorkbenchError(text("refuse.link", name=name), text("refuse.link.hint"))
        study = reopen(folder / name)
        s = study.settings
        if not s["own"]:
            self.pick((s["model"], s["dataset"], s["runtime"], s["device"]))
        return study

    def _lists(self) -> tuple[w.Dropdown, ...]:
        return (self.model, self.dataset, self.runtime, self.device) if hasattr(self, "model") else ()

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


def _list(key: str, options: list[tuple[str, str]], value: str) -> w.Dropdown:
    label, help = text(f"pick.{key}"), text(f"pick.{key}.help")
    style = {"description_width": "64px"}
    return w.Dropdown(options=options, value=value, description=label, tooltip=help, layout=WIDE, style=style)
