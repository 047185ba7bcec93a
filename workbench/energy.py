"""Energy of an artifact: by the machine's own counters where it has any, else an estimate from a stated model."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from workbench.machine import lacks_half

POWERCAP = Path("/sys/class/powercap")
SECONDS = 1.0
# Horowitz: Computing's energy problem, ISSCC 2014, figure 1.1.9: 45 nm; one multiplication and one addition, and one
# byte from DRAM (640 pJ for 32 bits). It has no bfloat16, which is counted as the other 16-bit floats.
PICOJOULES_MAC = {"float32": 3.7 + 0.9, "float16": 1.1 + 0.4, "int8": 0.2 + 0.03}
PICOJOULES_BYTE = 160.0
INTEGERS = 8  # bits of the widest that kernels compute with

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

    They count all that the chip does: what it takes when idle, and other programs too.

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


def modelled_energy(macs: Mapping[str, int], size_bytes: int) -> Energy:
    """An estimate: every multiply-accumulate once, and every byte of the file from memory once (Horowitz 2014).

    Parameters
    ----------
    macs : mapping of str to int
        Multiply-accumulates for one input, by the numbers that they are computed with, as `macs_by_width` gives them.
    size_bytes : int
        Of the file that ships.
    """
    picojoules = sum(count * PICOJOULES_MAC[width] for width, count in macs.items()) + size_bytes * PICOJOULES_BYTE
    return Energy(millijoules=picojoules / 1e9, measured=False, source="a model of 45 nm hardware (Horowitz 2014)")


def macs_by_width(
    total: int,
    layers: Mapping[str, int],
    bits: Mapping[str, int],
    mode: str | None,
    precision: str = "float32",
    device: str = "cpu",
) -> dict[str, int]:
    """How many of a model's multiply-accumulates are computed with ``int8``, ``float16`` or ``float32`` numbers.

    Parameters
    ----------
    total : int
    layers : mapping of str to int
        Those of the layers; what is left is between layers, as in attention.
    bits : mapping of str to int
        Of the layers' stored weights; a layer that is left out has 32.
    mode : str or None
        Of the quantization: weight-only computes with floats, and what is between layers is integers in static only.
    precision : str
        Of the floats; a device that can't compute with those of 16 bits does so with 32.
    device : str
    """
    integers = 0
    if mode in ("static", "dynamic"):
        integers = sum(count for name, count in layers.items() if bits.get(name, 32) <= INTEGERS)
    if mode == "static":
        integers += total - sum(layers.values())
    narrow = precision != "float32" and not lacks_half(precision, device)
    return {"int8": integers, "float16" if narrow else "float32": total - integers}


@contextmanager
def _counter(device: str, powercap: Path) -> Iterator[tuple[Counter | None, str]]:
    if device == "cuda":
        with _gpu() as counter:
            yield counter, "the counter of the whole GPU, idle power and other programs included (NVML)"
    else:
        packages = [domain for domain in sorted(powercap.glob("intel-rapl:*")) if _is_package(domain)]
        yield (
            (Packages(packages) if packages else None),
            "the counters of the whole processors, idle power and other programs included (RAPL)",
        )


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
