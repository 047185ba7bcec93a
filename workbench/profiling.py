"""Where the time goes: an artifact's operations, timed by the profiler of the runtime that executes it."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

RUNS = 40
WARMUP = 5
# As ONNX Runtime calls them, and then OpenVINO.
CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "FakeQuantize", "Convert")
REORDERINGS = ("ReorderInput", "ReorderOutput", "Transpose", "Reorder")


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


def without_profiler(operations: list[Operation], milliseconds: float) -> list[Operation]:
    """The same, less what the profiler itself took: what a call takes longer with it, the same for each operation.

    Parameters
    ----------
    operations : list of Operation
    milliseconds : float
        Of a call without the profiler.
    """
    surplus = max(0.0, sum(operation.milliseconds for operation in operations) - milliseconds) / max(1, len(operations))
    return [
        replace(operation, milliseconds=max(operation.milliseconds - surplus, operation.milliseconds / 10))
        for operation in operations
    ]


def milliseconds_of(run: Callable[[], object], runs: int = RUNS) -> float:
    """The median time of a call."""

    def timed() -> float:
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) * 1e3

    return medians(("call", timed()) for _ in range(WARMUP + runs))["call"]
