"""The packed file: as few bytes as the weights take."""

from pathlib import Path
from typing import TYPE_CHECKING

from workbench.exports.base import Export, Run
from workbench.exports.onnx import examples
from workbench.runtimes import PACKED
from workbench.steps.base import Work

if TYPE_CHECKING:
    from workbench.trial import Trial

NEEDS = "Small on disk only: its snippet needs unpacking.py, which is beside it, and constriction, onnx, onnxruntime."


class PackedFile(Export):
    """The trial's own artifact where that is packed; else its module, whose weights are coded as they are."""

    name = "packed"
    title = "Packed file"
    suffixes = (PACKED.suffix,)

    def check(self, trial: "Trial") -> None:
        super().check(trial)
        PACKED.check()

    def snippet(self, trial: "Trial", stem: str) -> str:
        return PACKED.snippet(stem + PACKED.suffix)

    def helpers(self, trial: "Trial", stem: str) -> dict[str, str]:
        return PACKED.helpers()

    def _write(self, trial: "Trial", files: tuple[Path, ...]) -> str:
        assert trial.artifact is not None
        if trial.artifact.suffix == PACKED.suffix:
            files[0].write_bytes(trial.artifact.read_bytes())
        else:
            PACKED.export(Work(trial.module()), *examples(trial), files[0])
        return NEEDS

    def _load(self, trial: "Trial", files: tuple[Path, ...]) -> Run:
        return PACKED.load(files[0])
