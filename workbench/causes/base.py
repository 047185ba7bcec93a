"""What a cause of slowness is, and what the rules look at to find one."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from workbench.layers import Layer
from workbench.profiling import Operation
from workbench.roofline import ABOVE, Roofline

if TYPE_CHECKING:
    from workbench.trial import Trial

NOTABLE = 0.05  # share of the time from which on a cause is told
LARGE = 0.3  # share of the time from which on layers limit the whole
SHOWN = 3  # layers named one by one


@dataclass(frozen=True)
class Cause:
    """One reason, and the share of the time that it concerns."""

    kind: str
    share: float
    sentence: str


@dataclass(frozen=True, eq=False)
class Case:
    """What the rules look at: a trial, its layers and operations with their times, and this machine's roofline.

    Attributes
    ----------
    trial : Trial
    layers : list of Layer
    operations : list of Operation
    roof : Roofline
    before : Case or None
        The same of the baseline; None for the baseline itself.
    """

    trial: "Trial"
    layers: list[Layer]
    operations: list[Operation]
    roof: Roofline
    before: "Case | None" = None

    @cached_property
    def total(self) -> float:
        """Milliseconds of all operations of a call."""
        return sum(operation.milliseconds for operation in self.operations)

    @cached_property
    def by_time(self) -> list[Layer]:
        """The layers, slowest first."""
        return sorted((layer for layer in self.layers if layer.milliseconds), key=self.share, reverse=True)

    @cached_property
    def alike(self) -> list[list[Layer]]:
        """The layers in groups that do the very same work, those with most of the time first."""
        groups: dict[tuple, list[Layer]] = {}
        for layer in self.layers:
            if layer.milliseconds:
                work = (layer.kind, layer.weight, layer.taken, layer.given, layer.bits, layer.integer)
                groups.setdefault(work, []).append(layer)
        return sorted(groups.values(), key=lambda group: self.share(*group), reverse=True)

    @cached_property
    def streamed(self) -> float:
        """Bytes that pass through the caches from one use of a weight to the next, which is a call later.

        All weights, and the largest inputs and outputs of a layer: their memory is used again by the next layers.
        """
        passing = [layer.moved(self.batch) - layer.stored for layer in self.layers]
        return sum(layer.stored for layer in self.layers) + max(passing, default=0.0)

    def share(self, *layers: Layer) -> float:
        """Of the time of a call."""
        return sum(layer.milliseconds or 0.0 for layer in layers) / self.total

    def limits(self, layer: Layer) -> dict[str, float]:
        """Seconds that ``compute``, ``memory`` and ``overhead`` take at least."""
        moved, macs = layer.moved(self.batch), layer.macs * self.batch
        return self.roof.limits(macs, moved, layer.integer, weights=layer.stored, streamed=self.streamed)

    def bound(self, layer: Layer) -> str:
        """``compute``, ``memory`` or ``overhead``: whichever takes longest."""
        limits = self.limits(layer)
        return max(limits, key=limits.__getitem__)

    def reached(self, *layers: Layer) -> float:
        """Of the speed that the roofline allows; above 1 where the roofline was taken too low."""
        timed = [layer for layer in layers if layer.milliseconds]
        spent = sum(layer.milliseconds or 0.0 for layer in timed)
        return 1e3 * sum(max(self.limits(layer).values()) for layer in timed) / spent if spent else 0.0

    @property
    def above(self) -> list[Layer]:
        """The layers that are faster than the roofline allows, by more than it may be wrong."""
        return [layer for layer in self.layers if self.share(layer) >= NOTABLE and self.reached(layer) > ABOVE]

    @property
    def batch(self) -> int:
        return self.trial.study.batch


def name_of(layer: Layer) -> str:
    return layer.name or "the only layer"


def names_of(layers: Iterable[Layer]) -> str:
    names = [name_of(layer) for layer in layers]
    told = ", ".join(names[:SHOWN])
    return told + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
