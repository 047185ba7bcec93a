"""A model as each runtime could run it here: a file for each that keeps its numbers, or why there is none."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import WorkbenchError
from workbench.runtimes import PACKED, Runtime
from workbench.steps.base import Work

if TYPE_CHECKING:
    from workbench.evaluation import Task
    from workbench.trial import Trial

AGAIN = "its integers are written anew for it"
UNPACKED = "unpacked first"


@dataclass(frozen=True)
class Subject:
    """What is to be run: a trial, or a module.

    Attributes
    ----------
    work : Work
        The module, and the numbers that it computes with: integers on their grids, or floats of a precision.
    inputs : numpy.ndarray
        Prepared inputs (N, ...) float32.
    artifact : pathlib.Path or None
        The trial's file, and what of it is known.
    own : Runtime or None
        What that file was made for.
    calibration : numpy.ndarray or None
        Prepared inputs (N, ...) float32 for files with integers; `inputs` if left out.
    samples : numpy.ndarray or None
        Prepared inputs (N, ...) float32 for which the answers of runtimes are compared; `inputs` if left out.
    task : Task or None
        What tells which outputs are the same answer; without one they are figures.
    """

    work: Work
    inputs: np.ndarray
    artifact: Path | None = None
    own: Runtime | None = None
    calibration: np.ndarray | None = None
    samples: np.ndarray | None = None
    task: "Task | None" = None

    @classmethod
    def of(cls, trial: "Trial", count: int) -> "Subject":
        """A complete trial, with so many validation samples.

        Raises
        ------
        WorkbenchError
            If it has no file, or one whose speed is not claimed.
        """
        from workbench.agreement import SAMPLES
        from workbench.carry_out import calibrating, rebuild
        from workbench.evaluation import task_of
        from workbench.layers import batch_of

        if trial.artifact is None or trial.metrics is None:
            raise WorkbenchError(f"Trial {trial.number} has no artifact: it {trial.state}.", "Choose a complete trial.")
        if trial.metrics.simulated:
            raise WorkbenchError(
                f"Trial {trial.number} is simulated: no kernel computes as it does, so its speed says nothing.",
                "Choose a trial with bits that a runtime has kernels for.",
            )
        work, study = rebuild(trial), trial.study
        dataset, task = study.dataset, task_of(study.dataset)
        samples = batch_of(dataset, task.batch(dataset, min(SAMPLES, len(dataset.validation))))
        inputs, calibration = batch_of(dataset, count), calibrating(study, work)
        return cls(work, inputs, trial.artifact, trial.runtime, calibration, samples, task)

    def check(self, runtime: Runtime) -> None:
        """Refuse, before any work, a runtime that would compute with other numbers than the trial does.

        Raises
        ------
        WorkbenchError
            If it has no kernels for the trial's integers, or does not run its 16-bit floats.
        """
        if runtime is self.own:
            return
        quantize, precision = self.work.quantization, self.work.precision
        if quantize is not None and not runtime.computes(quantize):
            raise WorkbenchError(
                f"It has no kernels for the integers of this trial ({quantize.mode}, {_bits(quantize.widths)}), and in "
                "floats it would be another model.",
                "To compare floats, choose a trial without Quantize.",
            )
        if precision != "float32" and precision not in runtime.floats:
            raise WorkbenchError(
                f"It does not run {precision}, and in floats of 32 bits this trial would be another model.",
                "To compare those, choose a trial without Half.",
            )

    def file_for(self, runtime: Runtime, folder: Path) -> tuple[Path, str]:
        """The file that a runtime runs it from, made in a folder where there is none yet; and what to know of it.

        Raises
        ------
        WorkbenchError
            If the runtime can't run it, or not with the trial's own numbers.
        """
        self.check(runtime)
        path = folder / f"{runtime.name}{runtime.suffix}"
        if self.artifact is not None:
            if runtime is self.own or self.artifact.suffix == runtime.suffix == ".onnx":
                return self.artifact, ""
            if self.artifact.suffix == PACKED.suffix and runtime.suffix == ".onnx":
                path.write_bytes(PACKED.plain(self.artifact))
                return path, UNPACKED
        if self.artifact is not None and self.work.quantization is not None and not self.work.grids:
            raise WorkbenchError(
                "Its integers can't be written anew, as this trial did not keep their scales.", "Run its recipe again."
            )
        samples = np.resize(self.inputs, (2, *self.inputs.shape[1:]))
        runtime.export(self.work, samples, samples if self.calibration is None else self.calibration, path)
        if self.work.quantization is None:
            return path, ""
        self._check_bits(runtime, path)
        return path, AGAIN

    def _check_bits(self, runtime: Runtime, path: Path) -> None:
        """Refuse a file in which a layer has other bits than in the trial's own."""
        if self.own is None or self.artifact is None:
            return
        before, after = _narrow(self.own, self.artifact), _narrow(runtime, path)
        name = next((n for n in sorted(before.keys() | after.keys()) if before.get(n) != after.get(n)), None)
        if name is not None:
            raise WorkbenchError(
                f"It stores {name or 'the model'} in {after.get(name, 32)} bits, and this trial in "
                f"{before.get(name, 32)}.",
                "Make a study with this runtime to see what it gives then.",
            )


def _narrow(runtime: Runtime, path: Path) -> dict[str, int]:
    return {name: bits for name, bits in runtime.weight_bits(path).items() if bits != 32}


def _bits(widths: frozenset[int]) -> str:
    return f"{' and '.join(map(str, sorted(widths)))} bits"
