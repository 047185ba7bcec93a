"""Prune until MACs, parameters, bytes or measured latency are down to a share or figure: bisection over the ratio."""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from torch import nn

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate
from workbench.latency import wall_clock
from workbench.macs import count_macs
from workbench.on_device import exported, runtime_of, timed, timing
from workbench.pruning.groups import MOST
from workbench.quantization.grids import refit
from workbench.runtimes import PACKED
from workbench.steps.base import Context, Work
from workbench.steps.prune import Prune

if TYPE_CHECKING:
    pass

HALVINGS = {"macs": 10, "parameters": 10, "bytes": 5, "latency": 5}  # the last two export a file each time
NAMES = {"macs": "MACs", "parameters": "parameters", "bytes": "bytes of the file", "latency": "latency"}


class Pruned(Protocol):
    """A pruned copy of a module; two of the same key are the same."""

    module: nn.Module

    @property
    def key(self) -> str: ...


P = TypeVar("P", bound=Pruned)


def reach(at: Callable[[float], P], work: Work, step: Prune, context: Context) -> tuple[P, str]:
    """The model at the smallest ratio found that has the target at or under what it may be, and a sentence about it.

    Parameters
    ----------
    at : callable
        From a ratio to the model pruned by it.
    work : Work
        What a share is of.
    step : Prune
    context : Context

    Raises
    ------
    WorkbenchError
        If even the largest ratio leaves more.
    """
    with tempfile.TemporaryDirectory() as folder:
        figure = Figure(work, step, context, Path(folder))
        if step.limit and (left := figure(whole := at(0.0))).value <= figure.most:
            return whole, figure.told(left, 0.0)
        low, high = 0.0, MOST
        best, reached = at(high), high
        left = figure(best)
        if left.value > figure.most:
            raise WorkbenchError(
                f"The {NAMES[step.target]} can't get down to {figure.text(figure.most)}: the most that may go leaves "
                f"{figure.text(left.value)}.",
                "Keep more, or leave fewer layers alone.",
            )
        halvings = HALVINGS[step.target]
        for index in range(halvings):
            middle = (low + high) / 2
            context.report(share=index / halvings, message=f"Searching the ratio: trying {middle:.1%}")
            candidate = at(middle)
            found = figure(candidate)
            if found.value <= figure.most:
                high, best, left, reached = middle, candidate, found, middle
            else:
                low = middle
        return best, figure.told(left, reached)


class Figure:
    """The target of a pruned model: exact, or measured with its interval.

    By share it is relative to what it was before the step, by limit it is in MACs, parameters, bytes or milliseconds.

    Attributes
    ----------
    most : float
        What it may be.
    """

    def __init__(self, work: Work, step: Prune, context: Context, folder: Path):
        self.work, self.step, self.context, self.folder = work, step, context, folder
        self.known: dict[str, Estimate] = {}
        self.inputs = context.dataset.prepare(context.dataset.calibration.inputs[: max(2, context.batch)])
        self.most = step.limit or step.keep
        self.whole = 1.0
        if step.target == "latency":
            self.reference = exported(work, context, self.inputs, folder)
        elif not step.limit:
            self.whole = self._exact(work)

    def __call__(self, pruned: Pruned) -> Estimate:
        key = pruned.key
        if key not in self.known:
            work = replace(self.work, module=pruned.module)
            if self.step.target == "latency":
                self.known[key] = self._timed(work)
            else:
                exact = self._exact(work) / self.whole
                self.known[key] = Estimate(value=exact, low=exact, high=exact)
        return self.known[key]

    def text(self, value: float) -> str:
        """A value with its unit."""
        if not self.step.limit:
            return f"{value:.1%}"
        return f"{value:.3g} ms" if self.step.target == "latency" else f"{value:,.0f}"

    def told(self, left: Estimate, ratio: float) -> str:
        """What was reached, in a sentence."""
        name = NAMES[self.step.target]
        if self.step.target != "latency":
            return f"{self.text(left.value)} of the {name} are left, at a ratio of {ratio:.1%}."
        runtime = runtime_of(self.context)
        interval = f"[{self.text(left.low)}, {self.text(left.high)}]"
        return (
            f"{self.text(left.value)} {interval} of the {name} is left, at a ratio of {ratio:.1%}:"
            f" {len(self.known)} candidates were exported and timed against the model before this step on"
            f" {runtime.title} ({self.context.threads} threads, batch {self.context.batch}). Measured again, the ratio"
            " may come out a little different."
        )

    def _exact(self, work: Work) -> float:
        if self.step.target == "macs":
            return count_macs(work.module, self.inputs[:1])
        if self.step.target == "parameters":
            zeros = self.step.granularity == "weight"
            return sum(int(p.count_nonzero()) if zeros else p.numel() for p in work.module.parameters())
        packed = work.ships_packed or self.step.granularity == "weight"
        runtime = PACKED if packed else runtime_of(self.context)
        work = replace(work, simulated=[], module=copy.deepcopy(work.module), grids=dict(work.grids))
        refit(dict(work.module.named_parameters()), work.grids)
        path = self.folder / f"model{runtime.suffix}"
        runtime.export(work, self.inputs[:2], self.inputs, path)
        return path.stat().st_size

    def _timed(self, work: Work) -> Estimate:
        if self.step.limit:  # milliseconds are those of the wall clock, as the trial will have them
            return timing(self.reference, work, self.context, self.inputs, self.folder, wall_clock).second
        speedup = timed(self.reference, work, self.context, self.inputs, self.folder)
        return Estimate(value=1 / speedup.value, low=1 / speedup.high, high=1 / speedup.low)
