"""What a fresh process pays that runs only the artifact: the time to its first answer, and its memory."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate, median_of

if TYPE_CHECKING:
    from workbench.runtimes import Runtime

SECONDS = 0.5
MOST_STARTS = 5
PATIENCE = 120  # seconds


class ProcessCost(BaseModel):
    """Of processes that import the runtime, load the artifact and run it once, by the runtime's own snippet.

    Attributes
    ----------
    cold_start : Estimate
        Milliseconds to load and run for the first time, the runtime being imported; from the fastest to the slowest
        of the starts.
    import_ms : float
        Milliseconds to import the runtime.
    peak_bytes : int
        The most memory (resident set size) of the whole process: interpreter, runtime, artifact and one run.
    runtime_bytes : int
        What of this was there before the artifact was loaded.
    starts : int
        How many processes were started.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    cold_start: Estimate
    import_ms: float
    peak_bytes: int
    runtime_bytes: int
    starts: int


def process_cost(
    runtime: "Runtime",
    artifact: Path,
    shape: tuple[int, ...],
    threads: int = 1,
    seconds: float = SECONDS,
    tokens: bool = False,
) -> ProcessCost:
    """Start fresh processes that run only the artifact, one after another.

    Parameters
    ----------
    runtime : Runtime
    artifact : pathlib.Path
    shape : tuple of int
        Of the prepared inputs, batch first.
    threads : int
        Set as OMP_NUM_THREADS, which not every runtime heeds.
    seconds : float
        No new process is started once these are spent.
    tokens : bool
        Whether the inputs are whole numbers.

    Raises
    ------
    WorkbenchError
        If the process fails.
    """
    code = {"snippet": runtime.snippet(artifact.name), "helpers": runtime.helpers()}
    asked = json.dumps({**code, "shape": shape, "tokens": tokens})
    told: list[dict[str, float]] = []
    began = time.perf_counter()
    while not told or (len(told) < MOST_STARTS and time.perf_counter() - began < seconds):
        told.append(_start(asked, artifact, threads))
    facts = {name: np.array([facts[name] for facts in told]) for name in told[0]}
    return ProcessCost(
        cold_start=median_of(facts["cold_start_ms"]),
        import_ms=float(np.median(facts["import_ms"])),
        peak_bytes=int(np.median(facts["peak_bytes"])),
        runtime_bytes=int(np.median(facts["runtime_bytes"])),
        starts=len(told),
    )


def _start(asked: str, artifact: Path, threads: int) -> dict[str, float]:
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(Path(__file__).with_name("fresh.py"))],  # -P: nothing of this folder is imported
            input=asked,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
            cwd=artifact.parent,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().split("\n")[-1][:300]
        raise WorkbenchError(
            f"A fresh process could not run {artifact.name}: {reason}", "Try its snippet by hand."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise WorkbenchError(
            f"A fresh process did not run {artifact.name} within {PATIENCE} seconds.", "Try its snippet by hand."
        ) from error
    return json.loads(done.stdout.strip().split("\n")[-1])
