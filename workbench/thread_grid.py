"""One file with so many threads and so many inputs in a call: where it gives most."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate
from workbench.latency import Pair, Paired, Run, loads_of, paired
from workbench.machine import Machine, processors
from workbench.metrics import speed_verdict
from workbench.questions import Answer
from workbench.runtimes import Runtime

LARGEST_BATCH = 4096
QUIET = Machine()


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
    machine : Machine
        While it was timed.
    """

    threads: int
    batch: int
    latency: Estimate
    speedup: Estimate
    machine: Machine = QUIET

    @property
    def throughput(self) -> float:
        """Inputs in a second."""
        return self.batch / self.latency.value * 1e3


@dataclass(frozen=True)
class Lead:
    """The best of all settings in one respect, and how sure that is.

    Attributes
    ----------
    best : Cell
    second : Cell or None
        The next best; None where there is only one setting.
    ratio : Estimate or None
        How many times better the best is, both timed against each other in one interleaved loop.
    machine : Machine
        While they were.
    """

    best: Cell
    second: Cell | None = None
    ratio: Estimate | None = None
    machine: Machine = QUIET

    @property
    def sure(self) -> bool:
        """Whether the two can be told apart, or there are no two."""
        return self.ratio is None or speed_verdict(self.ratio) == "faster"


@dataclass(frozen=True)
class Grid:
    """Every setting.

    Attributes
    ----------
    cells : list of Cell
    quick, many : Lead
        Where a call takes least time, and where most inputs go through.
    reference : str
        What the speed-ups are over; "" for nothing but itself.
    runtime : str
        The title of what ran the file.
    """

    cells: list[Cell]
    quick: Lead
    many: Lead
    reference: str = ""
    runtime: str = ""

    def sentences(self) -> list[str]:
        """Where a call is fastest and where most inputs go through, what disturbed that, then every setting."""
        said = self._leads()
        for cell in self.cells:
            ms = cell.latency
            against = f", {_times(cell.speedup)} {self.reference}"
            said.append(
                f"{_setting(cell)}: {ms.value:.3g} ms [{ms.low:.3g}, {ms.high:.3g}], {cell.throughput:,.0f} in a second"
                + (against if self.reference else "")
            )
        return said

    def _leads(self) -> list[str]:
        quick, many = self.quick, self.many
        one = f"A call is fastest with {_setting(quick.best)}: {quick.best.latency.value:.3g} ms in {self.runtime}"
        two = f"Most inputs go through with {_setting(many.best)}: {many.best.throughput:,.0f} in a second"
        said = []
        for lead, told, as_much, what in (
            (quick, one, "as fast as", "how fast a call is"),
            (many, two, "as many as", "how many inputs go through"),
        ):
            if lead.second is None or lead.ratio is None:
                said.append(f"{told}.")
            elif lead.sure:
                said.append(f"{told}, {_times(lead.ratio)} {as_much} with {_setting(lead.second)}, timed in turn.")
            else:
                pair = f"{_setting(lead.best)} and {_setting(lead.second)}"
                said.append(f"Between {pair} there is no measurable difference in {what}: {_times(lead.ratio)}.")
        return said + self._disturbances()

    def _disturbances(self) -> list[str]:
        """What disturbed a timing, and which."""
        seen = [(f"{_setting(cell)} was timed", cell.machine) for cell in self.cells]
        seen += [("the best settings were timed in turn", lead.machine) for lead in (self.quick, self.many)]
        told = [(when, "; ".join(machine.disturbances())) for when, machine in seen]
        return list(dict.fromkeys(f"The machine was not quiet while {when}: {why}." for when, why in told if why))

    def answer(self) -> Answer:
        """As a page shows it: where it gives most in sentences, every setting as a row."""
        return Answer(self._leads(), [self._row(cell) for cell in self.cells])

    def _row(self, cell: Cell) -> dict[str, str]:
        ms = cell.latency
        speed = {"against the baseline": _times(cell.speedup)} if self.reference else {}
        return {
            "threads": str(cell.threads),
            "inputs at once": str(cell.batch),
            "ms": f"{ms.value:.3g} [{ms.low:.3g}, {ms.high:.3g}]",
            "in a second": f"{cell.throughput:,.0f}",
            **speed,
        }

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

    Figures of different settings come from different loops, so the best two are timed against each other at the end.

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
    for name, asked, most in (("threads", threads, processors()), ("inputs in a call", batches, LARGEST_BATCH)):
        if not asked or any(not isinstance(n, int) or not 1 <= n <= most for n in asked):
            raise WorkbenchError(
                f"A grid can't be of {', '.join(map(str, asked)) or 'no'} {name}.", f"Give numbers from 1 to {most}."
            )
    settings = [(t, b) for t in sorted(set(threads)) for b in sorted(set(batches))]
    both = _Files(first, second, inputs, device, seconds)
    cells, steps = [], len(settings) + 2
    for index, (count, batch) in enumerate(settings):
        report(share=index / steps, name="Grid", message=f"{count} threads, batch {batch}")
        timing = both.against_reference(count, batch)
        cells.append(Cell(count, batch, timing.second, timing.speedup, timing.machine))
    leads = []
    for index, worth in enumerate((lambda cell: 1 / cell.latency.value, lambda cell: cell.throughput)):
        report(share=(len(settings) + index) / steps, name="Grid", message="The best two against each other")
        leads.append(both.lead(sorted(cells, key=worth, reverse=True)[:2], of_inputs=index == 1))
    report(share=1.0, name="Grid", message="Done")
    return Grid(cells, leads[0], leads[1], reference, second[0].title)


@dataclass(frozen=True)
class _Files:
    """The reference and what the grid is of, to be timed."""

    first: tuple[Runtime, Path]
    second: tuple[Runtime, Path]
    inputs: Callable[[int], np.ndarray]
    device: str
    seconds: float | None

    def against_reference(self, threads: int, batch: int) -> Paired:
        """Both files with one setting."""
        return self._paired((self.first, threads, batch), (self.second, threads, batch))

    def lead(self, best: list[Cell], of_inputs: bool) -> Lead:
        """The better of two settings, in calls or in inputs; by what both gave in turn."""
        if len(best) < 2:
            return Lead(best[0])
        one, two = best
        timing = self._paired(*((self.second, cell.threads, cell.batch) for cell in (two, one)))
        more = one.batch / two.batch if of_inputs else 1.0
        low, value, high = (more * each for each in (timing.speedup.low, timing.speedup.value, timing.speedup.high))
        if value < 1:
            one, two, low, value, high = two, one, 1 / high, 1 / value, 1 / low
        return Lead(one, two, Estimate(value=value, low=low, high=high), timing.machine)

    def _paired(self, *settings: tuple[tuple[Runtime, Path], int, int]) -> Paired:
        def load() -> Pair:
            one, two = (self._loaded(*setting) for setting in settings)
            return one, two

        size = sum(path.stat().st_size for (_, path), _, _ in settings)
        return paired(*load(), reload=load, loads=loads_of(size, self.device), seconds=self.seconds)

    def _loaded(self, file: tuple[Runtime, Path], threads: int, batch: int) -> Run:
        runtime, path = file
        return partial(runtime.load(path, threads, self.device), self.inputs(batch))


def _times(ratio: Estimate) -> str:
    return f"{ratio.value:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


def _setting(cell: Cell) -> str:
    return f"{cell.threads} thread{'s' * (cell.threads > 1)} and batch {cell.batch}"
