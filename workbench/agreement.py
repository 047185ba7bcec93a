"""Whether a model answers in one runtime as it does in another: outputs for the same inputs, side by side."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from workbench.evaluation import Task

SAMPLES = 256  # that are compared, where there are so many
AT_ONCE = 32
LEAST_SAME = 0.98  # of the answers: integers that are written anew round some borderline cases the other way
MOST_ERROR = 0.1  # of outputs that are figures, as a share of their own size


@dataclass(frozen=True)
class Agreement:
    """The outputs of one runtime against those of another.

    Attributes
    ----------
    samples : int
    same : float or None
        Share of the samples with the same answer; None where outputs are figures, of which hardly any are the same.
    error : float
        Root mean square of the differences over that of the outputs themselves.
    lacking : str
        Why they can't be compared at all; "" where they can.
    """

    samples: int
    same: float | None
    error: float
    lacking: str = ""

    @classmethod
    def of(cls, outputs: np.ndarray, expected: np.ndarray, task: "Task | None" = None) -> "Agreement":
        """Of outputs (N, ...) and those that they should be; without a task, they are figures."""
        if outputs.shape != expected.shape:
            shapes = f"{list(outputs.shape)} instead of {list(expected.shape)}"
            return cls(len(expected), None, np.inf, f"Its outputs have another shape: {shapes}.")
        if not np.isfinite(outputs).all():
            return cls(len(expected), None, np.inf, "Its outputs are NaN or infinite.")
        same = task.alike(outputs, expected) if task is not None and not task.figures else None
        size = max(float(np.linalg.norm(expected)), float(np.finfo(np.float32).tiny))
        return cls(len(expected), same, float(np.linalg.norm(outputs - expected)) / size)

    def words(self) -> str:
        """How far they agree, as a clause."""
        if self.same is None:
            return f"outputs {self.error:.2%} off on {self.samples:,} samples"
        return f"the same answer on {self.same:.1%} of {self.samples:,} samples"

    def refusal(self) -> str:
        """Why it is another model, with the tolerance that decides; "" where it is the same."""
        if self.lacking:
            return self.lacking
        if self.same is None:
            off = f"Its outputs are {self.error:.1%} off on {self.samples:,} samples"
            return f"{off}, and more than {MOST_ERROR:.0%} is another model." if self.error > MOST_ERROR else ""
        alike = f"It gives the same answer on {self.same:.1%} of {self.samples:,} samples only"
        return f"{alike}, and less than {LEAST_SAME:.0%} is another model." if self.same < LEAST_SAME else ""


def outputs_of(session: Callable[[np.ndarray], np.ndarray], samples: np.ndarray) -> np.ndarray:
    """What a runtime gives for samples (N, ...), put to it some at a time."""
    parts = (samples[start : start + AT_ONCE] for start in range(0, len(samples), AT_ONCE))
    return np.concatenate([np.asarray(session(part)) for part in parts])
