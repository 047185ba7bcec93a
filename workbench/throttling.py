"""Whether the machine itself became slower or faster while something was timed again and again."""

import numpy as np
from scipy import stats

CHANGE = 0.1  # of a block's time, from which on it is worth telling
CHANCE = 0.02  # that blocks in any order would differ so much


def slowed(times: np.ndarray) -> float:
    """How much longer the last third of equal blocks took than the first, as a share; negative where it took less.

    The medians of both thirds are compared; where they differ by less than a tenth, or where the blocks may be in this
    order by chance (Mann & Whitney 1947, two-sided at 2 %), it is 0. A processor that grows hot loses its rate in this
    way; one that wakes up gains it; noise without a direction does neither.

    Parameters
    ----------
    times : numpy.ndarray
        Seconds of equal blocks of work, oldest first, shape (count,).
    """
    third = len(times) // 3
    if third < 4:  # fewer are in any order too often
        return 0.0
    first, last = np.asarray(times[:third], float), np.asarray(times[-third:], float)
    change = float(np.median(last) / np.median(first) - 1)
    if abs(change) < CHANGE or stats.mannwhitneyu(first, last).pvalue > CHANCE:
        return 0.0
    return change
