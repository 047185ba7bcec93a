"""One file with so many threads and so many inputs in a call: where it gives most."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate
from workbench.latency import Run, loads_of, paired
from workbench.runtimes import Runtime

LARGEST_BATCH = 4096


@dataclass(frozen=True)
class Cell:
    """One setting, as measured.

    Attributes
    ----------
    threads, batch : int
    latency : Estimate
        Milliseconds of a call, of all its inputs.
    speedup : Estimate
        Over the reference with the same threads and batch.
    """

    threads: int
    batch: int
    latency: Estimate
    speedup: Estimate

    @property
    def throughput(self) -> float:
        """Inputs in a second."""
        return self.batch / self.latency.value * 1e3


@dataclass(frozen=True)
class Grid:
    """Every setting.

    Attributes
    ----------
    cells : list of Cell
    reference : str
        What the speed-ups are over; "" for nothing but itself.
    runtime : str
        The title of what ran the file.
    """

    cells: list[Cell]
    reference: str = ""
    runtime: str = ""

    def sentences(self) -> list[str]:
        """Where a call is fastest and where most inputs go through, then every setting."""
        quick, many = min(self.cells, key=lambda c: c.latency.value), max(self.cells, key=lambda c: c.throughput)
        said = [
            f"A call is fastest with {_setting(quick)}: {quick.latency.value:.3g} ms, run by {self.runtime}.",
            f"Most inputs go through with {_setting(many)}: {many.throughput:,.0f} in a second.",
        ]
        for cell in self.cells:
            ms = cell.latency
            against = f", {cell.speedup.value:.2f}x [{cell.speedup.low:.2f}, {cell.speedup.high:.2f}] {self.reference}"
            said.append(
                f"{_setting(cell)}: {ms.value:.3g} ms [{ms.low:.3g}, {ms.high:.3g}], {cell.throughput:,.0f} in a second"
                + (against if self.reference else "")
            )
        return said

    def __repr__(self) -> str:
        return "\n".join(self.sentences())


def grid(
    first: tuple[Runtime, Path],
    second: tuple[Runtime, Path],
    inputs: Callable[[int], np.ndarray],
    threads: Sequence[int],
    batches: Sequence[int],
    *,
    reference: str = "",
    device: str = "cpu",
    seconds: float | None = None,
    report: Callable[..., None] = lambda **facts: None,
) -> Grid:
    """Time a file against a reference in one interleaved loop, for every number of threads and of inputs in a call.

    Parameters
    ----------
    first, second : (Runtime, pathlib.Path)
        The reference, and what the grid is of.
    inputs : callable
        So many prepared inputs, as an array.
    threads, batches : sequence of int
        At least one of each.
    seconds : float, optional
        For each setting, as `paired` takes it.
    report : callable
        Told the share done; may raise `Cancelled`.

    Raises
    ------
    WorkbenchError
        On numbers that make no sense, more threads than processors among them.
    """
    from workbench.carry_out import processors

    for name, asked, most in (("threads", threads, processors()), ("inputs in a call", batches, LARGEST_BATCH)):
        if not asked or any(not isinstance(n, int) or not 1 <= n <= most for n in asked):
            raise WorkbenchError(
                f"A grid can't be of {', '.join(map(str, asked)) or 'no'} {name}.", f"Give numbers from 1 to {most}."
            )
    settings = [(t, b) for t in sorted(set(threads)) for b in sorted(set(batches))]
    cells, files = [], sum(path.stat().st_size for _, path in (first, second))
    for index, (count, batch) in enumerate(settings):
        report(share=index / len(settings), name="Grid", message=f"{count} threads, batch {batch}")
        load = partial(_loaded, first, second, count, device, inputs(batch))
        timing = paired(*load(), reload=load, loads=loads_of(files, device), seconds=seconds)
        cells.append(Cell(count, batch, timing.second, timing.speedup))
    report(share=1.0, name="Grid", message="Done")
    return Grid(cells, reference, second[0].title)


def _loaded(
    first: tuple[Runtime, Path], second: tuple[Runtime, Path], threads: int, device: str, inputs: np.ndarray
) -> tuple[Run, Run]:
    one, two = (partial(runtime.load(path, threads, device), inputs) for runtime, path in (first, second))
    return one, two


def _setting(cell: Cell) -> str:
    return f"{cell.threads} thread{'s' * (cell.threads > 1)} and batch {cell.batch}"
