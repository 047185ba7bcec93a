"""The roofline of this machine: how fast it moves bytes and multiplies at best, and what one operation costs anyway."""

import hashlib
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import platformdirs
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from workbench.disk import write
from workbench.machine import Watch, processor
from workbench.runtimes import Runtime
from workbench.steps import Quantize
from workbench.steps.base import Work

VERSION = 2  # of the way in which it is measured
COPIES = (2**18, 2**22, 2**26)  # bytes copied: within a core's cache, within the machine's, and beyond
WIDTH, ROWS = 1024, 256  # of the large matrix product
SMALL, CHAIN = 8, 32  # width and number of the tiny layers
SECONDS = 0.3  # for each figure
ABOVE = 1.05  # of the roofline, from which on something is faster than it rather than as fast
AGAIN = 2  # times that it is measured again by itself, at most
BOUNDS = {"compute": "compute-bound", "memory": "memory-bound", "overhead": "overhead-bound"}


class Roofline(BaseModel):
    """What a runtime can reach on this machine with so many threads (Williams, Waterman and Patterson 2009).

    A call that does `m` multiply-accumulates and moves `b` bytes takes at least ``max(m / peak, b / bandwidth)``, and
    never less than what any operation costs.

    Attributes
    ----------
    peaks : dict of str to float
        Multiply-accumulates per second of a large matrix product run by the runtime: ``float`` and, where it has
        kernels, ``integer``.
    bandwidths : dict of int to float
        Bytes per second read and written by a copy, by the bytes that it touches: small ones stay in the caches.
    overhead : float
        Seconds that the runtime takes for a layer with nearly nothing to do.
    disturbed : list of str
        What else the machine did while it was measured, each as a clause.
    times : int
        How often it was measured; the figures are the best.
    """

    model_config = ConfigDict(frozen=True)
    runtime: str
    version: str
    processor: str
    threads: int
    measured: date
    peaks: dict[str, float]
    bandwidths: dict[int, float]
    overhead: float
    disturbed: list[str] = []
    times: int = 1

    def limits(
        self, macs: float, moved: float, integer: bool = False, *, weights: float = 0.0, streamed: float = 0.0
    ) -> dict[str, float]:
        """Seconds that arithmetic, memory and the call itself take at least.

        Parameters
        ----------
        macs, moved : float
            Multiply-accumulates, and bytes read or written.
        integer : bool
        weights : float
            Of these bytes, those that the next call reads again.
        streamed : float
            Bytes that pass through the caches until then: weights stay in those that hold all of it.
        """
        peak = self.peaks.get("integer" if integer else "float", self.peaks["float"])
        read = weights / self._bandwidth(max(moved, streamed))
        memory = read + (moved - weights) / self._bandwidth(moved)
        return {"compute": macs / peak, "memory": memory, "overhead": self.overhead}

    def _bandwidth(self, touched: float) -> float:
        """Bytes per second where so many are touched again and again."""
        level = next((size for size in sorted(self.bandwidths) if touched <= size), max(self.bandwidths))
        return self.bandwidths[level]

    def best_with(self, other: "Roofline") -> "Roofline":
        """The best of two measurements: other programs, and heat, only make a machine slower than it can be."""
        return other.model_copy(
            update={
                "peaks": {kind: max(rate, self.peaks.get(kind, 0.0)) for kind, rate in other.peaks.items()},
                "bandwidths": {size: max(rate, self.bandwidths[size]) for size, rate in other.bandwidths.items()},
                "overhead": min(self.overhead, other.overhead),
                "disturbed": self.disturbed and other.disturbed,
                "times": self.times + other.times,
            }
        )

    def __str__(self) -> str:
        peaks = ", ".join(f"{rate / 1e9:.0f} billion {kind} MACs/s" for kind, rate in self.peaks.items())
        beyond = self.bandwidths[max(self.bandwidths)] / 1e9
        return (
            f"{peaks}, {beyond:.1f} GB/s from memory, {self.overhead * 1e6:.1f} microseconds for each small layer "
            f"({self.runtime} {self.version} on {self.threads} thread{'s' * (self.threads > 1)}, "
            f"measured on {self.measured}{', while ' * bool(self.disturbed)}{'; '.join(self.disturbed)})"
        )


def roofline(runtime: Runtime, threads: int = 1, refresh: bool = False) -> Roofline:
    """This machine's roofline for a runtime, measured in seconds and then kept in the user's cache folder.

    One that was measured while the machine was busy is measured again when it is asked for, but not for ever.
    """
    path = _path(runtime, threads)
    known = None if refresh else _known(path)
    if known is None:
        return _kept(path, measure_roofline(runtime, threads))
    return measured_again(known, runtime, threads) if known.disturbed else known


def measured_again(known: Roofline, runtime: Runtime, threads: int = 1) -> Roofline:
    """The best of this and another measurement; the same where it was measured often enough."""
    if known.times > AGAIN:
        return known
    return _kept(_path(runtime, threads), known.best_with(measure_roofline(runtime, threads)))


def _path(runtime: Runtime, threads: int) -> Path:
    known = (VERSION, runtime.name, runtime.version(), processor(), threads)
    name = hashlib.sha256(repr(known).encode()).hexdigest()[:12]
    return platformdirs.user_cache_path("compression-workbench") / "roofline" / f"{runtime.name}-{threads}-{name}.json"


def _known(path: Path) -> Roofline | None:
    """What is kept there; what can't be read is measured again."""
    try:
        return Roofline.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def _kept(path: Path, found: Roofline) -> Roofline:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, found.model_dump_json(indent=2))
    except OSError:
        pass  # a home that can't be written only costs the seconds again
    return found


def measure_roofline(runtime: Runtime, threads: int = 1) -> Roofline:
    """Measure it now."""
    watch = Watch()
    torch.manual_seed(0)
    rows = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)
    product = ROWS * WIDTH * WIDTH
    peaks = {"float": product / _seconds(runtime, nn.Linear(WIDTH, WIDTH), rows, threads)}
    if runtime.kernels and any(kernel.mode == "static" for kernel in runtime.kernels):
        peaks["integer"] = product / _seconds(runtime, nn.Linear(WIDTH, WIDTH), rows, threads, Quantize())
    chain = nn.Sequential(*(layer for _ in range(CHAIN) for layer in (nn.Linear(SMALL, SMALL), nn.ReLU())))
    found = Roofline(
        runtime=runtime.name,
        version=runtime.version() or "",
        processor=processor(),
        threads=threads,
        measured=date.today(),
        peaks=peaks,
        bandwidths={2 * size: 2 * size / _copying(size, threads) for size in COPIES},
        overhead=_seconds(runtime, chain, rows[:1, :SMALL].copy(), threads) / CHAIN,
    )
    return found.model_copy(update={"disturbed": watch.seen().disturbances()})


def _seconds(
    runtime: Runtime, module: nn.Module, inputs: np.ndarray, threads: int, quantize: Quantize | None = None
) -> float:
    with TemporaryDirectory() as folder:
        path = Path(folder, f"model{runtime.suffix}")
        runtime.export(Work(module.eval(), quantization=quantize), inputs[:2].repeat(2, 0)[:2], inputs, path)
        session = runtime.load(path, threads)
        return _best(lambda: session(inputs))


def _copying(size: int, threads: int) -> float:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        source, target = torch.ones(size // 4), torch.empty(size // 4)
        return _best(lambda: target.copy_(source))
    finally:
        torch.set_num_threads(before)


def _best(run: Callable[[], object]) -> float:
    """The shortest time in seconds: a roof is what can be reached, whatever else the machine does."""
    run()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while True:
        start = time.perf_counter()
        run()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best
