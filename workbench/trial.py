"""A trial: one recipe carried out and measured, or failed with its reason."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError, lookup
from workbench.metrics import Metrics
from workbench.recipe import Recipe
from workbench.storage import FINISHED, Record

if TYPE_CHECKING:
    from torch import nn

    from workbench.exports import Exported
    from workbench.runtimes import Runtime, Session
    from workbench.study import Study
    from workbench.why import Why
TAIL = 4096  # bytes, longer than any line of progress


class Trial:
    """What is known of one trial; read from the study's folder, so it is the same in every process.

    Attributes
    ----------
    study : Study
    number : int
        0 is the baseline.
    state : str
        waiting, running, complete, failed or cancelled.
    recipe : Recipe
    metrics : Metrics or None
    reason : str
        Why it failed or was cancelled.
    notes : list of str
        What the user should know of how it went.
    weight_hash : str or None
    prediction : Prediction or None
        What was foreseen before it ran, where the study was prepared for that.
    """

    def __init__(self, study: "Study", record: Record):
        self.study, self._record = study, record
        self.number, self.state, self.reason = record.number, record.state, record.reason
        self.metrics: Metrics | None = record.metrics
        self.prediction = record.prediction
        self.notes, self.weight_hash, self.seconds = record.notes, record.weight_hash, record.seconds
        self.recipe = Recipe.from_dict(record.recipe)

    def __repr__(self) -> str:
        if self.metrics is None:
            reason = f": {self.reason}" if self.reason else ""
            return f"Trial({self.number}, {self.state}, {self.recipe.describe()}{reason})"
        m = self.metrics
        speed = f", {m.speedup.value:.2f}x" if m.speedup else ""
        told = m.score.text() if m.accuracy else f"{m.score.name} {m.score.text()}"
        return f"Trial({self.number}, {self.recipe.describe()}: {told}, {m.size_bytes:,} bytes{speed})"

    def _repr_html_(self) -> str:
        from workbench.cards import trial_card

        return trial_card(self)

    @property
    def finished(self) -> bool:
        """Whether it is complete, failed or cancelled."""
        return self.state in FINISHED

    def cancel(self) -> None:
        """Stop it at its next batch, whichever process carries it out; a search goes on with its next trial.

        Raises
        ------
        WorkbenchError
            If the wish can't be left in the study's folder.
        """
        try:
            self.study.storage.stop(self.number)
        except OSError as error:
            raise WorkbenchError("The wish to stop can't be left on disk.", "Free some disk space.") from error

    @property
    def artifact(self) -> Path | None:
        """The file that ships, or None if there is none."""
        return self.study.storage.folder(self.number) / self._record.artifact if self._record.artifact else None

    @property
    def runtime(self) -> "Runtime":
        """What runs the artifact: the study's runtime, or what unpacks a packed file."""
        from workbench.runtimes import runtime_of

        return runtime_of(self.artifact, self.study.runtime) if self.artifact else self.study.runtime

    @property
    def progress(self) -> list[dict[str, Any]]:
        """Every progress fact oldest first: time, stage, stages, name, share, loss, accuracy, epoch, message."""
        path = self.study.storage.folder(self.number) / "progress.jsonl"
        if not path.exists():
            return []
        return _facts(path.read_bytes())

    @property
    def last_progress(self) -> dict[str, Any] | None:
        """The newest progress fact, or None; cheap however long the trial has run."""
        path = self.study.storage.folder(self.number) / "progress.jsonl"
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - TAIL))
                facts = _facts(file.read())
        except OSError:
            return None
        return facts[-1] if facts else None

    def answers(self) -> np.ndarray:
        """The artifact's top class for every validation sample, shape (N,), int64; else what its task keeps of each."""
        try:
            return np.load(self.study.storage.folder(self.number) / "answers.npy", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise WorkbenchError(f"The answers of trial {self.number} are missing.", "Run its recipe again.") from error

    def sentences(self) -> list[str]:
        """What was measured, against the baseline, in plain sentences; then the notes."""
        if self.metrics is None:
            return [self.reason or f"This trial is {self.state}."]
        if not len(self.recipe):
            score, samples = self.metrics.score, self.metrics.samples
            return [
                "This is the baseline: every trial is measured against it.",
                f"{score.title} {score.text()} [{score.text(score.low)}, {score.text(score.high)}] "
                f"on {samples:,} validation samples.",
            ]
        return [*self.metrics.sentences(self.study.baseline.metrics or self.metrics), *self.notes]

    def details(self) -> list[str]:
        """Those of its sentences that may be folded away; none for the baseline and for what failed."""
        if self.metrics is None or not len(self.recipe):
            return []
        return self.metrics.details(self.study.baseline.metrics or self.metrics)

    def why(self, refresh: bool = False) -> "Why":
        """Why it isn't faster, in sentences from measured causes; takes some seconds.

        Parameters
        ----------
        refresh : bool
            Whether to measure anew what this machine can do at best, whatever is known of it.
        """
        from workbench.why import why

        return why(self, refresh)

    def module(self) -> "nn.Module":
        """The compressed module (floats; the artifact holds its quantized form), in evaluation mode."""
        from workbench.carry_out import rebuild

        return rebuild(self).module

    def load(self, threads: int | None = None) -> "Session":
        """The artifact, loaded in what runs it: a callable on prepared numpy batches."""
        if self.artifact is None:
            raise WorkbenchError(f"Trial {self.number} has no artifact: it {self.state}.", "Choose a complete trial.")
        from workbench.carry_out import setting

        here = setting(self.study)
        return replace(here, threads=threads or here.threads).load(self.artifact)

    def snippet(self) -> str:
        """Python code that runs the artifact without this project, from raw inputs on: ten lines at most."""
        return self.input_code() + "\n\n" + self.runtime.snippet(self.download_name())

    def helpers(self) -> dict[str, str]:
        """Files of Python code that the snippet imports, to lie beside it: their content by name; mostly none."""
        return self.runtime.helpers()

    def export(self, format: str, path: str | Path) -> "Exported":
        """Write this trial in another format, and check what was written against the module.

        Parameters
        ----------
        format : str
            ``onnx``, ``openvino``, ``torch``, ``safetensors`` or ``packed``.
        path : str or pathlib.Path
            A folder, made where it isn't there.

        Returns
        -------
        Exported
            Its files, their size, the parity with the module, and code that runs them without this project.

        Raises
        ------
        WorkbenchError
            If there is no such format, what it needs isn't installed, or the trial can't be written in it.
        """
        from workbench.exports import EXPORTS

        return lookup(EXPORTS, format, "format").export(self, path)

    def input_code(self) -> str:
        """Python code that makes prepared `inputs` of raw ones, which a snippet then takes."""
        dataset = self.study.dataset
        shape = ", ".join(map(str, dataset.sample_shape))
        kind = "int64)  # your tokens" if dataset.task == "language" else "float32)  # your raw inputs"
        lines = ["import numpy as np", "", f"inputs = np.zeros((1, {shape}), np.{kind}, batch first"]
        if dataset.train.inputs.dtype == np.uint8:
            lines.append("inputs /= 255  # pixels to [0, 1]")
        if dataset.mean and dataset.std:
            mean, std = (f"np.float32({list(v)})[:, None, None]" for v in (dataset.mean, dataset.std))
            lines.append(f"inputs = (inputs - {mean}) / {std}")
        return "\n".join(lines)

    def download_name(self) -> str:
        """A name for the artifact outside the study, such as ``lenet5-mnist-3.onnx``."""
        s = self.study.settings
        return f"{s['model']}-{s['dataset']}-{self.number}{self.runtime.suffix}"


def _facts(lines: bytes) -> list[dict[str, Any]]:
    """The facts in whole lines; what is cut, or still being written, is passed over."""
    facts = []
    for line in lines.split(b"\n")[:-1]:
        with contextlib.suppress(ValueError):
            facts.append(json.loads(line))
    return facts
