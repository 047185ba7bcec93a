"""Prune until MACs, parameters, bytes or measured latency are down to a share or figure: bisection over the ratio."""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate
from workbench.latency import Paired, budget, cuda_clock, paired, processor_clock, wall_clock
from workbench.macs import count_macs
from workbench.pruning.groups import MOST
from workbench.quantization.observers import refit
from workbench.runtimes import PACKED
from workbench.steps.base import Context, Work
from workbench.steps.prune import Prune

if TYPE_CHECKING:
    from workbench.runtimes import Runtime, Session

HALVINGS = {"macs": 10, "parameters": 10, "bytes": 5, "latency": 5}  # the last two export a file each time
SECONDS = 2.0  # of timing for each candidate at most
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


def runtime_of(context: Context) -> "Runtime":
    """What will execute the artifact; a refusal where nobody said."""
    if context.runtime is None:
        raise WorkbenchError(
            "Bytes and latency are of the exported file, and no runtime was given to export for.",
            "Run the recipe in a study, or choose another target and scope.",
        )
    return context.runtime


def exported(work: Work, context: Context, inputs: np.ndarray, folder: Path) -> "Session":
    """The work's artifact, exported to the folder and loaded."""
    runtime = runtime_of(context)
    path = folder / f"{len(list(folder.iterdir()))}{runtime.suffix}"
    threads = torch.get_num_threads()
    runtime.export(replace(work, simulated=[]), inputs[:2], inputs, path)
    torch.set_num_threads(threads)
    return runtime.load(path, context.threads, context.device)


def clock_of(context: Context) -> Callable[[Callable[[], object]], float]:
    """The clock that tells two models apart best: on one thread processor time is latency less what others disturb."""
    if context.device == "cuda":
        return cuda_clock
    return processor_clock if context.threads == 1 else wall_clock


def timed(reference: "Session", work: Work, context: Context, inputs: np.ndarray, folder: Path) -> Estimate:
    """How many times faster than the reference the work's artifact is, timed in one loop."""
    return timing(reference, work, context, inputs, folder, clock_of(context)).speedup


def timing(
    reference: "Session",
    work: Work,
    context: Context,
    inputs: np.ndarray,
    folder: Path,
    clock: Callable[[Callable[[], object]], float],
) -> Paired:
    """The work's artifact, exported to the folder, against the reference in one loop."""
    session = exported(work, context, inputs, folder)
    batch = inputs[np.arange(context.batch) % len(inputs)]
    threads = torch.get_num_threads()
    seconds = min(SECONDS, budget())
    found = paired(lambda: reference(batch), lambda: session(batch), seconds=seconds, clock=clock)
    torch.set_num_threads(threads)  # eager sessions change it
    return found
