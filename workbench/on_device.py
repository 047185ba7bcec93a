"""A model on the way through a recipe, exported and timed on the device that it is for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate
from workbench.latency import Paired, budget, cuda_clock, paired, processor_clock, wall_clock
from workbench.steps.base import Context, Work

if TYPE_CHECKING:
    from workbench.runtimes import Runtime, Session

SECONDS = 2.0  # of timing for each candidate at most


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
