"""Causes of slowness: a rule finds one in what was measured, or nothing; the list of all rules is here."""

from collections.abc import Callable

from workbench.causes.arithmetic import conversions, floats_left, simulated
from workbench.causes.base import Case, Cause
from workbench.causes.limits import above_roofline, bounds, less_efficient, poor_kernels, slowest_layers, small_layers
from workbench.causes.timed import odd_channels, small_batch, zeros_run_dense

RULES: list[Callable[[Case], Cause | None]] = [
    slowest_layers,
    bounds,
    simulated,
    zeros_run_dense,
    odd_channels,
    less_efficient,
    poor_kernels,
    conversions,
    floats_left,
    small_layers,
    small_batch,
    above_roofline,
]
