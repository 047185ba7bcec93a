"""A model as each runtime could run it here: a file for each, or why there is none."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import WorkbenchError
from workbench.runtimes import Runtime
from workbench.steps.base import Work

if TYPE_CHECKING:
    from torch import nn

    from workbench.trial import Trial

FLOATS = "as 32-bit floats: it has no kernels for the integers of this trial"


@dataclass(frozen=True)
class Subject:
    """What is to be run: a trial, or a module.

    Attributes
    ----------
    module : torch.nn.Module
    inputs : numpy.ndarray
        Prepared inputs (N, ...) float32.
    artifact : pathlib.Path or None
        The trial's file, and what of it is known.
    integers : bool
        Whether that file computes with integers.
    own : str
        The runtime that it was made for.
    """

    module: "nn.Module"
    inputs: np.ndarray
    artifact: Path | None = None
    integers: bool = False
    own: str = ""

    @classmethod
    def of(cls, trial: "Trial", count: int) -> "Subject":
        """A complete trial, with so many validation samples.

        Raises
        ------
        WorkbenchError
            If it has no file, or one whose speed is not claimed.
        """
        from workbench.layers import batch_of

        if trial.artifact is None or trial.metrics is None:
            raise WorkbenchError(f"Trial {trial.number} has no artifact: it {trial.state}.", "Choose a complete trial.")
        if trial.metrics.simulated:
            raise WorkbenchError(
                f"Trial {trial.number} is simulated: no kernel computes as it does, so its speed says nothing.",
                "Choose a trial with bits that a runtime has kernels for.",
            )
        quantized = any(step.key() == "quantize" for step in trial.recipe)
        return cls(trial.module(), batch_of(trial.study.dataset, count), trial.artifact, quantized, trial.runtime.name)

    def file_for(self, runtime: Runtime, folder: Path) -> tuple[Path, str]:
        """The file that a runtime runs it from, made in a folder where there is none yet; and what to know of it.

        Raises
        ------
        WorkbenchError
            If the runtime can't run it.
        """
        shared = self.artifact is not None and self.artifact.suffix == runtime.suffix == ".onnx"
        if self.artifact is not None and (shared or runtime.name == self.own):
            return self.artifact, ""
        path = folder / f"{runtime.name}{runtime.suffix}"
        samples = np.resize(self.inputs, (2, *self.inputs.shape[1:]))
        runtime.export(Work(self.module), samples, samples, path)
        return path, FLOATS if self.integers else ""
