"""What a recipe would cost in energy and memory, by what was measured of the baseline and of trials."""

from collections.abc import Mapping, Sequence

import numpy as np

from workbench.energy import Energy, modelled_energy
from workbench.estimates import Estimate
from workbench.metrics import Metrics

COPIES = 1.0, 3.0
"""How often a runtime may hold a file in memory at its peak: as it lies on disk, and once or twice prepared."""
UNSURE = 0.02
"""Share of its peak by which a process that starts again may differ."""


def energy(baseline: Metrics, macs: Mapping[str, int], size: Estimate, share: Estimate | None) -> Estimate | None:
    """Millijoules of one input, by whatever told the baseline's.

    By the stated model it follows from operations and bytes; by counters it goes with the time, as a processor at work
    draws about the same power.

    Parameters
    ----------
    baseline : Metrics
    macs : mapping of str to int
        By the numbers that they are computed with.
    size : Estimate
        Bytes.
    share : Estimate or None
        Of the baseline's latency.
    """
    known: Energy | None = baseline.energy
    if known is None:
        return None
    if not known.measured:
        value, low, high = (modelled_energy(macs, round(b)).millijoules for b in (size.value, size.low, size.high))
        return Estimate(value=value, low=low, high=high)
    if share is None:
        return None
    value, low, high = (known.millijoules * part for part in (share.value, share.low, share.high))
    return Estimate(value=value, low=low, high=high)


def memory(baseline: Metrics, size: Estimate, trials: Sequence[Metrics]) -> Estimate | None:
    """The peak of a process that runs only the artifact, bytes: the baseline's, less what the smaller file saves.

    The trials that were measured say how far such a line is from what comes.
    """
    if baseline.process is None:
        return None
    peak, whole = baseline.process.peak_bytes, baseline.size_bytes
    middle = sum(COPIES) / 2

    def at(bytes_: float, copies: float) -> float:
        return peak + copies * (bytes_ - whole)

    known = [(t.process.peak_bytes, t.size_bytes) for t in trials if t.process is not None]
    off = float(np.mean([found - at(bytes_, middle) for found, bytes_ in known])) if known else 0.0
    spread = [abs(found - at(bytes_, middle) - off) for found, bytes_ in known]
    ends = [at(bytes_, copies) + off for bytes_ in (size.low, size.high) for copies in COPIES]
    more = max(UNSURE * peak, float(np.quantile(spread, 0.9)) if spread else 0.0)
    return Estimate(value=at(size.value, middle) + off, low=max(0.0, min(ends) - more), high=max(ends) + more)
