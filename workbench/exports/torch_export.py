"""`torch.export`: the module as a graph that PyTorch itself runs, compiles, and hands on to other tools."""

from pathlib import Path
from typing import TYPE_CHECKING

from workbench.exports.base import Export, Run
from workbench.exports.onnx import examples, floats_note
from workbench.runtimes.torch_eager import TorchEager
from workbench.steps.base import Work

if TYPE_CHECKING:
    from workbench.trial import Trial


class TorchExport(Export):
    """The trial's module in floats, for any batch size."""

    name = "torch"
    title = "torch.export program"
    suffixes = (".pt2",)

    def snippet(self, trial: "Trial", stem: str) -> str:
        return TorchEager().snippet(f"{stem}.pt2")

    def _write(self, trial: "Trial", files: tuple[Path, ...]) -> str:
        TorchEager().export(Work(trial.module()), *examples(trial), files[0])
        return floats_note(trial)

    def _load(self, trial: "Trial", files: tuple[Path, ...]) -> Run:
        return TorchEager().load(files[0])
