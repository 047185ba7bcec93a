"""What every export is: a trial written in one format, checked against its module, with code that runs it elsewhere."""

import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.disk import write, writing
from workbench.errors import WorkbenchError
from workbench.metrics import Parity

if TYPE_CHECKING:
    from workbench.trial import Trial

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Exported:
    """Files of one format, as written and checked.

    Attributes
    ----------
    format : str
    files : tuple of pathlib.Path
        The model first.
    parity : Parity
        Of what was read back from these files, against the trial's module.
    seconds : float
        Writing and checking took.
    snippet : str
        Python code that loads and runs them without this project.
    helpers : tuple of pathlib.Path
        Files of Python code beside them, which the snippet imports; not part of the model.
    note : str
        What the user should know of this format and this trial; "" for nothing.
    """

    format: str
    files: tuple[Path, ...]
    parity: Parity
    seconds: float
    snippet: str
    note: str = ""
    helpers: tuple[Path, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.stat().st_size for file in self.files)

    def sentence(self) -> str:
        """What was written, how large, and how it agrees with the module."""
        names, p = " and ".join(file.name for file in self.files), self.parity
        said = (
            f"{names}: {self.size_bytes:,} bytes; the same answer as the module on {p.same_answers:.1%} of {p.samples} "
            f"samples, largest difference of an output {p.largest_difference:.2g}."
        )
        return f"{said} {self.note}".strip()


class Export(ABC):
    """One format."""

    name: str
    title: str
    suffixes: tuple[str, ...]
    """Of its files, the model's first."""

    @abstractmethod
    def snippet(self, trial: "Trial", stem: str) -> str:
        """Python code that, given prepared `inputs` (numpy, batch first), loads the files and computes `logits`."""

    def helpers(self, trial: "Trial", stem: str) -> dict[str, str]:
        """Files of Python code that the snippet imports, written beside the model: their content by name."""
        return {}

    @abstractmethod
    def _write(self, trial: "Trial", files: tuple[Path, ...]) -> str:
        """Write the files; returns what the user should know, or ""."""

    @abstractmethod
    def _load(self, trial: "Trial", files: tuple[Path, ...]) -> Run: ...

    def check(self, trial: "Trial") -> None:
        """Refuse, before any work, what this format can't hold here.

        Raises
        ------
        WorkbenchError
            If the trial has no model, or something isn't installed.
        """
        if trial.artifact is None:
            raise WorkbenchError(f"Trial {trial.number} has no artifact: it {trial.state}.", "Choose a complete trial.")

    def export(self, trial: "Trial", folder: str | Path) -> Exported:
        """Write a trial into a folder, read it back, and compare it with the trial's module.

        Parameters
        ----------
        trial : Trial
            A complete one.
        folder : str or pathlib.Path
            Made where it isn't there; files of the same names are replaced, once the new ones are whole.

        Raises
        ------
        WorkbenchError
            If the trial can't be written in this format, or there, or what was written can't be read back.
        """
        self.check(trial)
        started, folder = time.perf_counter(), Path(folder)
        stem = trial.download_name().rsplit(".", 1)[0]
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as own:
                files = tuple(Path(own, stem + suffix) for suffix in self.suffixes)
                note = self._write(trial, files)
                parity = self._parity(trial, files)
                code = tuple(Path(own, name) for name in self.helpers(trial, stem))
                for file, text in zip(code, self.helpers(trial, stem).values(), strict=True):
                    write(file, text)
                placed, helpers = (tuple(file.replace(folder / file.name) for file in kind) for kind in (files, code))
        snippet = trial.input_code() + "\n\n" + self.snippet(trial, stem)
        return Exported(self.name, placed, parity, time.perf_counter() - started, snippet, note, helpers)

    def _parity(self, trial: "Trial", files: tuple[Path, ...]) -> Parity:
        from workbench.measure import parity

        return parity(self._load(trial, files), trial.module(), trial.study.dataset)  # type: ignore[arg-type]
