"""Scores that take a while to find, kept in the study: whoever opens it again doesn't wait for gradients."""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from workbench.disk import write

FORMAT = 1  # counts up when any importance is computed otherwise
SLOW = 0.2  # seconds; what takes less is found anew each time


@dataclass(frozen=True)
class KeptScores:
    """Scores by their names, one file each.

    Attributes
    ----------
    folder : pathlib.Path or None
        Without one, nothing is kept.
    seed : int
        Of the dataset, by which calibration samples are drawn.
    """

    folder: Path | None = None
    seed: int = 0

    def of(
        self, name: str, shapes: Mapping[str, tuple[int, ...]], find: Callable[[], dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """What was kept under a name, else what is found now.

        Parameters
        ----------
        name : str
            Of the file.
        shapes : mapping
            Of everything that may have a score; a file that doesn't fit them, or is damaged, isn't read.
        find : callable
            Finds the scores.
        """
        path = self.folder / f"{name}-{self.seed}-{FORMAT}.safetensors" if self.folder else None
        if path is not None and path.exists():
            with contextlib.suppress(OSError, SafetensorError):
                kept = load_file(path)
                if kept and all(shapes.get(key) == tuple(score.shape) for key, score in kept.items()):
                    return kept
        began = time.monotonic()
        found = find()
        if path is not None and found and time.monotonic() - began > SLOW:
            with contextlib.suppress(OSError):  # on a full disk they are found again next time
                path.parent.mkdir(exist_ok=True)  # of a study that is gone nothing is made anew
                write(path, save({key: score.detach().contiguous().clone() for key, score in found.items()}))
        return found
