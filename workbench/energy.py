"""Energy of an artifact: by the machine's own counters where it has any, else an estimate from a stated model."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

POWERCAP = Path("/sys/class/powercap")
SECONDS = 1.0
# Horowitz: Computing's energy problem, ISSCC 2014, figure 1.1.9: 45 nm; one multiplication and one addition, and one
# byte from DRAM (640 pJ for 32 bits).
PICOJOULES_MAC = {"float": 3.7 + 0.9, "int8": 0.2 + 0.03}
PICOJOULES_BYTE = 160.0

Counter = Callable[[], float]


class Energy(BaseModel):
    """Of one input.

    Attributes
    ----------
    millijoules : float
    measured : bool
        False: an estimate from a model, for comparison only.
    source : str
        The counters, or the model.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    millijoules: float
    measured: bool
    source: str


def measured_energy(
    run: Callable[[], object], inputs: int, device: str = "cpu", seconds: float = SECONDS, powercap: Path = POWERCAP
) -> Energy | None:
    """What the counters of the processors, or of the GPU, say while it runs; None where there are none to read.

    Parameters
    ----------
    run : callable
        One call of the artifact.
    inputs : int
        How many inputs a call takes.
    device : str
    seconds : float
        How long it runs.
    powercap : pathlib.Path
        Where the system keeps its counters.
    """
    with _counter(device, powercap) as (counter, source):
        if counter is None:
            return None
        before, began, calls = counter(), time.perf_counter(), 0
        while calls == 0 or time.perf_counter() - began < seconds:
            run()
            calls += 1
        spent = counter() - before
    return Energy(millijoules=1e3 * spent / (calls * inputs), measured=True, source=source)


def modelled_energy(macs: int, size_bytes: int, int8: bool) -> Energy:
    """An estimate: every multiply-accumulate once, and every byte of the file from memory once (Horowitz 2014).

    Parameters
    ----------
    macs : int
        Multiply-accumulates for one input.
    size_bytes : int
        Of the file that ships.
    int8 : bool
        Whether it computes with 8-bit integers rather than 32-bit floats.
    """
    picojoules = macs * PICOJOULES_MAC["int8" if int8 else "float"] + size_bytes * PICOJOULES_BYTE
    return Energy(millijoules=picojoules / 1e9, measured=False, source="a model of 45 nm hardware (Horowitz 2014)")


@contextmanager
def _counter(device: str, powercap: Path) -> Iterator[tuple[Counter | None, str]]:
    if device == "cuda":
        with _gpu() as counter:
            yield counter, "the GPU's counter (NVML)"
    else:
        packages = [domain for domain in sorted(powercap.glob("intel-rapl:*")) if _is_package(domain)]
        yield (Packages(packages) if packages else None), "the processors' counters (RAPL)"


def _is_package(domain: Path) -> bool:
    """Whether it is a whole processor, not a part of one, and can be read: many systems let only root do so."""
    try:
        (domain / "energy_uj").read_text(encoding="ascii")
        return (domain / "name").read_text(encoding="ascii").startswith("package")
    except OSError:
        return False


class Packages:
    """Joules that all processor packages used since it was made; read it more often than they overflow (minutes)."""

    def __init__(self, domains: list[Path]):
        self._domains = domains
        self._last = [_number(domain / "energy_uj") for domain in domains]
        self._total = 0

    def __call__(self) -> float:
        for index, domain in enumerate(self._domains):
            now = _number(domain / "energy_uj")
            grown = now - self._last[index]
            self._total += grown if grown >= 0 else grown + _number(domain / "max_energy_range_uj")
            self._last[index] = now
        return self._total / 1e6


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))


@contextmanager
def _gpu() -> Iterator[Counter | None]:
    """The counter of the first GPU; None without one, or without the package nvidia-ml-py."""
    try:
        import pynvml
    except ImportError:
        yield None
        return
    handle: Any = None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:  # no driver, or a GPU older than Volta
        yield None
        return
    try:
        yield lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
    finally:
        pynvml.nvmlShutdown()
