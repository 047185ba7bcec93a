"""Prune until MACs, parameters, bytes or measured latency are down to a share: bisection over the ratio."""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate
from workbench.latency import budget, cuda_clock, paired, processor_clock, wall_clock
from workbench.macs import count_macs
from workbench.pruning.groups import MOST
from workbench.quantization.observers import refit
from workbench.runtimes import PACKED
from workbench.steps.base import Context, Work
from workbench.steps.prune import Prune

if TYPE_CHECKING:
    from workbench.pruning.structured import Pruned
    from workbench.runtimes import Runtime, Session

HALVINGS = {"macs": 10, "parameters": 10, "bytes": 5, "latency": 5}  # the last two export a file each time
SECONDS = 2.0  # of timing for each candidate at most
NAMES = {"macs": "MACs", "parameters": "parameters", "bytes": "bytes of the file", "latency": "latency"}


def reach(at: "Callable[[float], Pruned]", work: Work, step: Prune, context: Context) -> "tuple[Pruned, str]":
    """The model at the smallest ratio found that has the target at or under its share, and a sentence about it.

    Parameters
    ----------
    at : callable
        From a ratio to the model pruned by it.
    work : Work
        What the share is of.
    step : Prune
    context : Context

    Raises
    ------
    WorkbenchError
        If even the largest ratio leaves more.
    """
    with tempfile.TemporaryDirectory() as folder:
        share = Shares(work, step, context, Path(folder))
        low, high = 0.0, MOST
        best, reached = at(high), high
        left = share(best)
        if left.value > step.keep:
            raise WorkbenchError(
                f"The {NAMES[step.target]} can't get down to {step.keep:.0%}: the most that may go leaves "
                f"{left.value:.0%}.",
                "Keep more, or leave fewer layers alone.",
            )
        halvings = HALVINGS[step.target]
        for index in range(halvings):
            middle = (low + high) / 2
            context.report(share=index / halvings, message=f"Searching the ratio: trying {middle:.1%}")
            candidate = at(middle)
            found = share(candidate)
            if found.value <= step.keep:
                high, best, left, reached = middle, candidate, found, middle
            else:
                low = middle
        return best, share.told(left, reached)


class Shares:
    """What is left of the target, as a share of what it was: an exact one, or a measured one with its interval."""

    def __init__(self, work: Work, step: Prune, context: Context, folder: Path):
        self.work, self.step, self.context, self.folder = work, step, context, folder
        self.known: dict[str, Estimate] = {}
        self.inputs = context.dataset.prepare(context.dataset.calibration.inputs[: max(2, context.batch)])
        if step.target == "latency":
            self.reference = exported(work, context, self.inputs, folder)
        else:
            self.before = self._figure(work)

    def __call__(self, pruned: "Pruned") -> Estimate:
        key = repr(pruned.edits)
        if key not in self.known:
            work = replace(self.work, module=pruned.module)
            if self.step.target == "latency":
                self.known[key] = self._timed(work)
            else:
                exact = self._figure(work) / self.before
                self.known[key] = Estimate(value=exact, low=exact, high=exact)
        return self.known[key]

    def told(self, left: Estimate, ratio: float) -> str:
        """What was reached, in a sentence."""
        said = f"{left.value:.1%} of the {NAMES[self.step.target]} are left, at a ratio of {ratio:.1%}."
        if self.step.target != "latency":
            return said
        runtime = runtime_of(self.context)
        return (
            f"{left.value:.0%} [{left.low:.0%}, {left.high:.0%}] of the latency is left, at a ratio of {ratio:.1%}:"
            f" {len(self.known)} candidates were exported and timed against the model before this step on"
            f" {runtime.title} ({self.context.threads} threads, batch {self.context.batch}). Measured again, the ratio"
            " may come out a little different."
        )

    def _figure(self, work: Work) -> float:
        if self.step.target == "macs":
            return count_macs(work.module, self.inputs[:1])
        if self.step.target == "parameters":
            return sum(parameter.numel() for parameter in work.module.parameters())
        runtime = PACKED if work.packed or work.simulated else runtime_of(self.context)  # as it will ship
        work = replace(work, module=copy.deepcopy(work.module), grids=dict(work.grids))
        refit(dict(work.module.named_parameters()), work.grids)
        path = self.folder / f"model{runtime.suffix}"
        runtime.export(work, self.inputs[:2], self.inputs, path)
        return path.stat().st_size

    def _timed(self, work: Work) -> Estimate:
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
    session = exported(work, context, inputs, folder)
    batch = inputs[np.arange(context.batch) % len(inputs)]
    threads = torch.get_num_threads()
    seconds, clock = min(SECONDS, budget()), clock_of(context)
    timing = paired(lambda: reference(batch), lambda: session(batch), seconds=seconds, clock=clock)
    torch.set_num_threads(threads)  # eager sessions change it
    return timing.speedup
