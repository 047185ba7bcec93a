"""Figures with their uncertainty."""

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import stats

CONFIDENCE = 0.95
ROUNDS = 12
SMALLEST_ROUND = 4  # figures, of which the variance of their median can be told


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

    @property
    def half_width(self) -> float:
        """Half the interval, as a share of the value."""
        return (self.high - self.low) / 2 / abs(self.value) if self.value else float("inf")

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


def over_time(values: np.ndarray) -> tuple[Estimate, float]:
    """The typical one of positive figures taken one after another on a machine that drifts, and how much it drifts.

    The figures are cut into up to 12 rounds in the order of time. With :math:`y_r` the median logarithm of round
    :math:`r`, :math:`s^2` the variance of the :math:`R` medians, and :math:`v` the mean of their own variances
    (Maritz & Jarrett 1978), what the rounds differ by beyond their own noise is the drift
    :math:`\\tau^2 = \\max(0, s^2 - v)`, and the interval is

    .. math:: \\exp\\left(\\bar y \\pm t_{R-1,\\,0.975} \\sqrt{\\tau^2 + s^2 / R}\\right)

    This is the prediction interval of a random-effects model (Higgins, Thompson & Spiegelhalter 2009): where another
    measurement is to be expected, not only this one repeated at the same moment. Without drift it is close to that of
    batch means (Schmeiser 1982); it assumes that rounds, not single figures, are about independent.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (count,), count at least 8.

    Returns
    -------
    Estimate
    float
        The drift :math:`\\tau`, as a share.
    """
    logs = np.log(np.asarray(values, float))
    rounds = np.array_split(logs, min(ROUNDS, len(logs) // SMALLEST_ROUND))
    medians = np.array([np.median(part) for part in rounds])
    own = np.mean([_variance_of_median(part) for part in rounds])
    variance = medians.var(ddof=1)
    drift = max(0.0, variance - own)
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, len(rounds) - 1) * np.sqrt(drift + variance / len(rounds))
    low, value, high = np.exp(medians.mean() + np.array([-reach, 0, reach]))
    return Estimate(value=float(value), low=float(low), high=float(high)), float(np.sqrt(drift))


def _variance_of_median(values: np.ndarray) -> float:
    """By Maritz & Jarrett (1978): order statistics, weighted by the chance to be the median of a like sample."""
    half = (len(values) + 1) / 2
    weights = np.diff(stats.beta.cdf(np.linspace(0, 1, len(values) + 1), half, half))
    ordered = np.sort(values)
    return float(weights @ ordered**2 - (weights @ ordered) ** 2)
