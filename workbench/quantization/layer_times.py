"""How long each layer takes on this device, in floats and in integers."""

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate
from workbench.on_device import exported, timed
from workbench.profiling import milliseconds_of, without_profiler
from workbench.quantization.mixed import Costs, cheapest
from workbench.steps.base import Context, Work
from workbench.steps.quantize import FLOATS


@dataclass(frozen=True)
class LayerTimes:
    """What the runtime's profiler tells of a model as floats and as integers.

    Attributes
    ----------
    layers : dict of str to dict of int to float
        Milliseconds of each layer, by its bits: 32 in the file of floats, fewer in that of integers.
    rest : float
        Milliseconds of all that belongs to no layer, in the file of integers: conversions are among it.
    floats : float
        Milliseconds of the whole file of floats.
    """

    layers: dict[str, dict[int, float]]
    rest: float
    floats: float

    def choose(self, costs: Costs, share: float) -> dict[str, int]:
        """The bits of each layer that cost least while the times add up to at most `share` of those of the floats.

        Raises
        ------
        WorkbenchError
            If no choice is so fast.
        """
        chosen = cheapest(costs, self.layers, share * self.floats - self.rest)
        if chosen is None:
            quickest = {name: min(table, key=table.__getitem__) for name, table in self.layers.items()}
            raise WorkbenchError(
                f"No choice of integers and floats gets the latency down to {share:.0%}: by the times of the layers, "
                f"the fastest one takes {self.share(quickest):.0%} of the floats'.",
                "Allow more, or set latency_budget to 0.",
            )
        return chosen

    def share(self, bits: dict[str, int]) -> float:
        """The times of a choice, added up, as a share of those of the floats."""
        return (sum(self.layers[name][width] for name, width in bits.items()) + self.rest) / self.floats


def layer_times(floats: Work, integers: Work, bits: int, context: Context) -> LayerTimes:
    """Export a model as floats and as integers of so many bits, and ask the profiler about both.

    Raises
    ------
    WorkbenchError
        If there is no runtime, or it has no profiler.
    """
    if context.runtime is None:
        raise WorkbenchError("A latency budget needs a runtime to time.", "Run the recipe in a study.")
    inputs = context.dataset.prepare(context.dataset.calibration.inputs[: max(2, context.batch)])
    batch = inputs[np.arange(context.batch) % len(inputs)]
    layers: dict[str, dict[int, float]] = {name.rpartition(".")[0]: {} for name in integers.grids}
    sums: dict[int, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for width, work in ((FLOATS, floats), (bits, integers)):
            path = Path(folder, f"{width}{context.runtime.suffix}")
            context.runtime.export(work, inputs[:2], inputs, path)
            session = context.runtime.load(path, context.threads, context.device)
            operations = context.runtime.profile(path, batch, context.threads)
            operations = without_profiler(operations, milliseconds_of(partial(session, batch)))
            for table in layers.values():
                table[width] = 0.0
            for operation in operations:
                if operation.layer in layers:
                    layers[operation.layer][width] += operation.milliseconds
            whole = sum(operation.milliseconds for operation in operations)
            sums[width] = whole, whole - sum(table[width] for table in layers.values())
    return LayerTimes(layers, rest=sums[bits][1], floats=sums[FLOATS][0])


def measured(floats: Work, integers: Work, context: Context) -> Estimate:
    """The latency of a model with integers as a share of that of the same in floats: both files timed in one loop."""
    inputs = context.dataset.prepare(context.dataset.calibration.inputs[: max(2, context.batch)])
    with tempfile.TemporaryDirectory() as folder:
        reference = exported(floats, context, inputs, Path(folder))
        speedup = timed(reference, integers, context, inputs, Path(folder))
    return Estimate(value=1 / speedup.value, low=1 / speedup.high, high=1 / speedup.low)


def without_grids(work: Work) -> Work:
    """The same module as floats, with nothing laid on it and nothing noted."""
    return replace(work, quantization=None, grids={}, activations={}, constraints={}, simulated=[], notes=[])
