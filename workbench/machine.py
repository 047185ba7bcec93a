"""The machine: its instructions for small integers, and what else it did while something was timed."""

import platform
import time
from functools import cache

import psutil
from pydantic import BaseModel, ConfigDict

# Processor flags under which the int8 kernels of the runtimes are more than twice as fast as float.
INT8_FLAGS = {"avx512_vnni": "AVX512-VNNI", "avx_vnni": "AVX-VNNI", "amx_int8": "AMX", "asimddp": "ARM dot product"}


@cache
def int8_instructions() -> tuple[str, ...]:
    """Those instructions for products of 8-bit integers that the processor has, of the known ones."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line for line in file if line.startswith(("flags", "Features"))), "").split()
    except OSError:
        flags = []
    return tuple(title for flag, title in INT8_FLAGS.items() if flag in flags)


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
        MHz, of what was seen during the measurement.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    others: float | None = None
    stolen: float | None = None
    slowest_clock: float | None = None
    fastest_clock: float | None = None

    def disturbances(self) -> list[str]:
        """What disturbed the measurement, each as a clause."""
        said = []
        if self.others is not None and self.others > MUCH:
            said.append(f"other programs took {self.others:.0%} of its processors")
        if self.stolen is not None and self.stolen > MUCH_STOLEN:
            said.append(f"the hypervisor gave {self.stolen:.0%} of them to other machines")
        if self.slowest_clock and self.fastest_clock and self.slowest_clock < THROTTLED * self.fastest_clock:
            said.append(f"its clock fell from {self.fastest_clock:.0f} to {self.slowest_clock:.0f} MHz")
        return said


MUCH, MUCH_STOLEN, THROTTLED = 0.25, 0.05, 0.9


class Watch:
    """Watches the machine from its making on; `look` often, as clocks are only seen when looked at."""

    def __init__(self) -> None:
        self._times, self._own = psutil.cpu_times(), time.process_time()
        self._clocks: list[float] = []
        self.look()

    def look(self) -> None:
        """Note the processors' clock, where it can be read."""
        try:
            clock = psutil.cpu_freq()
        except (OSError, NotImplementedError):  # some containers and virtual machines
            clock = None
        if clock and clock.current:
            self._clocks.append(float(clock.current))

    def seen(self) -> Machine:
        """What was seen so far."""
        self.look()
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
        )

    def _pairs(self) -> list[tuple[str, float, float]]:
        now = psutil.cpu_times()
        return [(name, getattr(self._times, name), getattr(now, name)) for name in now._fields]
