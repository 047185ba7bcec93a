"""Where the time goes: an artifact's operations, timed by the profiler of the runtime that executes it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

RUNS = 40
WARMUP = 5
CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "quantize", "dequantize")
REORDERINGS = ("ReorderInput", "ReorderOutput", "Transpose")


@dataclass(frozen=True)
class Operation:
    """One operation as the runtime executed it; what it fused counts as one.

    Attributes
    ----------
    name, kind : str
        The runtime's own names of the operation, and of what it does: ``Conv``, ``QLinearConv``, ``aten.relu``.
    layer : str or None
        The layer of the module whose weights it uses; None for what lies between the layers.
    milliseconds : float
        The median over the runs.
    integer : bool
        Whether it computes with integers rather than floats.
    """

    name: str
    kind: str
    layer: str | None
    milliseconds: float
    integer: bool = False

    @property
    def converts(self) -> bool:
        """Whether it only turns floats into integers, or back."""
        return self.kind in CONVERSIONS

    @property
    def reorders(self) -> bool:
        """Whether it only lays the same numbers out in another order."""
        return self.kind in REORDERINGS


def medians(events: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The median of each name's durations, without the first runs, in the order of their first appearance.

    Parameters
    ----------
    events : iterable of (str, float)
        Name and duration, one for each name and run, oldest first.
    """
    durations: dict[str, list[float]] = defaultdict(list)
    for name, duration in events:
        durations[name].append(duration)
    return {name: float(np.median(told[min(WARMUP, len(told) - 1) :])) for name, told in durations.items()}
