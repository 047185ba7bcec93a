"""Figures with their uncertainty."""

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import stats

CONFIDENCE = 0.95


class Estimate(BaseModel):
    """A measured figure and its 95 % interval.

    Attributes
    ----------
    value, low, high : float
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    value: float
    low: float
    high: float

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def share_of(right: int, count: int) -> Estimate:
    """A share with its Wilson score interval (Wilson 1927).

    Parameters
    ----------
    right, count : int
        So many of so many.
    """
    interval = stats.binomtest(right, count).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(value=right / count, low=float(interval.low), high=float(interval.high))


def median_of(values: np.ndarray) -> Estimate:
    """The median with its distribution-free interval from order statistics (binomial; Conover 1999, section 3.2).

    Parameters
    ----------
    values : numpy.ndarray
        One figure per block, shape (blocks,).
    """
    ordered = np.sort(np.asarray(values, float))
    count = len(ordered)
    # the largest k with P(at most k - 1 of n fall below the median) <= 2.5 %
    rank = int(stats.binom.ppf((1 - CONFIDENCE) / 2, count, 0.5))
    rank = max(0, min(rank, count - 1) - (stats.binom.cdf(rank, count, 0.5) > (1 - CONFIDENCE) / 2))
    return Estimate(value=float(np.median(ordered)), low=float(ordered[rank]), high=float(ordered[count - 1 - rank]))
