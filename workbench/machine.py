"""The machine: its instructions for small integers, and what else it did while something was timed."""

import os
import platform
import time
from functools import cache

import psutil
from pydantic import BaseModel, ConfigDict

# Processor flags under which the int8 kernels of the runtimes are more than twice as fast as float.
INT8_FLAGS = {"avx512_vnni": "AVX512-VNNI", "avx_vnni": "AVX-VNNI", "amx_int8": "AMX", "asimddp": "ARM dot product"}
# Processor flags for arithmetic with 16-bit floats; instructions that only convert them are not among these.
HALF_FLAGS = {
    "float16": {"avx512_fp16": "AVX512-FP16", "amx_fp16": "AMX-FP16", "asimdhp": "ARM half precision"},
    "bfloat16": {"avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX-BF16", "bf16": "ARM BF16"},
}


@cache
def processor_flags() -> frozenset[str]:
    """What the processor says that it can; empty where it doesn't say."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return frozenset(next((line for line in file if line.startswith(("flags", "Features"))), "").split())
    except OSError:
        return frozenset()


def processor() -> str:
    """The name of this machine's processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def int8_instructions() -> tuple[str, ...]:
    """Those instructions for products of 8-bit integers that the processor has, of the known ones."""
    return tuple(title for flag, title in INT8_FLAGS.items() if flag in processor_flags())


def lacks_half(format: str, device: str = "cpu") -> str:
    """Why a device can't compute with 16-bit floats of a format, as a clause; empty where it can or doesn't say.

    Parameters
    ----------
    format : {"float16", "bfloat16"}
    device : {"cpu", "cuda"}
    """
    if device == "cuda":
        import torch

        able = format == "float16" or torch.cuda.is_bf16_supported(including_emulation=False)
        return "" if able else f"this GPU has no {format} arithmetic"
    wanted, flags = HALF_FLAGS[format], processor_flags()
    if not flags or wanted.keys() & flags:
        return ""
    return f"this processor has none of the instructions for {format} ({', '.join(wanted.values())})"


def products_overflow() -> bool:
    """Whether 8-bit kernels add pairs of products in 16 bits here, and cut off ``2 * 255 * 127``: x86 without VNNI.

    Weights of 7 bits can't overflow: ``2 * 255 * 63 < 2^15``.
    """
    return platform.machine().lower() in ("x86_64", "amd64") and not int8_instructions()


class Machine(BaseModel):
    """The machine during a measurement. Shares are of all its processors; None is what it can't tell.

    Attributes
    ----------
    others : float or None
        Share of processor time that other processes took.
    stolen : float or None
        Share that a hypervisor gave to other virtual machines.
    slowest_clock, fastest_clock : float or None
        MHz of the fastest processor, of what was seen during the measurement.
    full_clock : float or None
        MHz that the system says a processor may reach.
    slowed, cpu_slowed : float
        How much longer the reference took at the end than at the beginning, see `workbench.throttling`: by the clock
        on the wall, and in its own processor time, which other programs hardly touch.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    others: float | None = None
    stolen: float | None = None
    slowest_clock: float | None = None
    fastest_clock: float | None = None
    full_clock: float | None = None
    slowed: float = 0.0
    cpu_slowed: float = 0.0

    def disturbances(self) -> list[str]:
        """What disturbed the measurement, each as a clause."""
        said = []
        if self.others is not None and self.others > MUCH:
            said.append(f"other programs took {self.others:.0%} of its processors")
        if self.stolen is not None and self.stolen > MUCH_STOLEN:
            said.append(f"the hypervisor gave {self.stolen:.0%} of them to other machines")
        if self.slowest_clock and self.fastest_clock and self.slowest_clock < THROTTLED * self.fastest_clock:
            said.append(f"its clock fell from {self.fastest_clock:.0f} to {self.slowest_clock:.0f} MHz")
        if self.fastest_clock and self.full_clock and self.fastest_clock < FULL * self.full_clock:
            said.append(f"its clock reached {self.fastest_clock:.0f} of {self.full_clock:.0f} MHz only")
        if self.slowed:
            more, throttled = "longer" if self.slowed > 0 else "less", self.slowed > 0 and self.cpu_slowed > 0
            also = ", in processor time too, as where a processor throttles" if throttled else ""
            said.append(f"the reference took {abs(self.slowed):.0%} {more} at the end than at the beginning{also}")
        return said


MUCH, MUCH_STOLEN, THROTTLED = 0.25, 0.05, 0.9
FULL = 0.7  # of the full clock, which is that of a single busy core, may be what is left where all are busy
EVERY = 0.2  # seconds between two looks at the clock, which take some milliseconds


class Watch:
    """Watches the machine from its making on; `look` often, as clocks are only seen when looked at."""

    def __init__(self) -> None:
        self._times, self._own = psutil.cpu_times(), time.process_time()
        self._clocks: list[float] = []
        self._full: float | None = None
        self._looked = 0.0
        self.look(now=True)

    def look(self, now: bool = False) -> None:
        """Note the clock of the fastest processor, where it can be read; at most five times in a second, or `now`."""
        if not now and time.monotonic() - self._looked < EVERY:
            return
        self._looked = time.monotonic()
        try:
            clocks = psutil.cpu_freq(percpu=True) or []
        except (OSError, NotImplementedError):  # some containers and virtual machines
            clocks = []
        if current := max((float(clock.current) for clock in clocks), default=0.0):  # the others may be asleep
            self._clocks.append(current)
            self._full = max(float(clock.max) for clock in clocks) or None

    def seen(self) -> Machine:
        """What was seen so far."""
        self.look(now=True)
        spent = {name: after - before for name, before, after in self._pairs()}
        # Linux counts the time of guests within that of users
        total = sum(seconds for name, seconds in spent.items() if not name.startswith("guest"))
        if total <= 0:
            return Machine()
        idle, stolen = spent["idle"] + spent.get("iowait", 0.0), spent.get("steal")
        others = total - idle - (stolen or 0.0) - (time.process_time() - self._own)
        return Machine(
            others=min(1.0, max(0.0, others / total)),
            stolen=None if stolen is None else max(0.0, stolen / total),
            slowest_clock=min(self._clocks, default=None),
            fastest_clock=max(self._clocks, default=None),
            full_clock=self._full,
        )

    def _pairs(self) -> list[tuple[str, float, float]]:
        now = psutil.cpu_times()
        return [(name, getattr(self._times, name), getattr(now, name)) for name in now._fields]
