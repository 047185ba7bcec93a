"""ONNX: what most engines read."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.exports.base import Export, Run
from workbench.runtimes.onnx_runtime import OnnxRuntime
from workbench.steps.base import Work

if TYPE_CHECKING:
    from workbench.trial import Trial

FLOATS = "Its weights are rounded as the recipe says, but stored as 32-bit floats; the integers are in the artifact."


class Onnx(Export):
    """The trial's own artifact where that is an .onnx file, integers and all; else its module in floats."""

    name = "onnx"
    title = "ONNX"
    suffixes: tuple[str, ...] = (".onnx",)

    def check(self, trial: "Trial") -> None:
        super().check(trial)
        OnnxRuntime().check()

    def snippet(self, trial: "Trial", stem: str) -> str:
        return OnnxRuntime().snippet(f"{stem}.onnx")

    def _write(self, trial: "Trial", files: tuple[Path, ...]) -> str:
        return write_onnx(trial, files[0])

    def _load(self, trial: "Trial", files: tuple[Path, ...]) -> Run:
        return OnnxRuntime().load(files[0])


def write_onnx(trial: "Trial", path: Path) -> str:
    """The trial as an .onnx file; returns what should be known of it."""
    assert trial.artifact is not None
    if trial.artifact.suffix == path.suffix:
        shutil.copyfile(trial.artifact, path)
        return ""
    OnnxRuntime().export(Work(trial.module()), *examples(trial), path)
    return floats_note(trial)


def floats_note(trial: "Trial") -> str:
    """What to know of a trial's module in floats: where its artifact holds less than that, that it does."""
    return FLOATS if any(step.key() in ("quantize", "shareweights", "half") for step in trial.recipe) else ""


def examples(trial: "Trial") -> tuple[np.ndarray, np.ndarray]:
    """Two prepared samples, twice: exporters want an example, and none of these is calibrated."""
    dataset = trial.study.dataset
    inputs = dataset.prepare(dataset.calibration.inputs[:2])
    return inputs, inputs
