"""Figures with their uncertainty."""

import math

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import stats

CONFIDENCE = 0.95
ROUNDS = 12
ENOUGH_LOADS = 4  # to go by what they differ by alone
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


class Score(Estimate):
    """How good a model is, by the measure of its task.

    Attributes
    ----------
    name : str
        ``accuracy``, ``R²``, ``perplexity``.
    unit : str
        ``share`` for what is told in per cent; "" for a bare number.
    better : int
        1 where higher is better, -1 where lower is.
    """

    name: str = "accuracy"
    unit: str = "share"
    better: int = 1

    @property
    def utility(self) -> float:
        """A figure that is better when higher. Where lower is better it is the negative logarithm, so that
        differences are ratios: a perplexity that is 5 % higher is worse by 0.05."""
        return self.value if self.better > 0 else -math.log(max(self.value, 1e-300))

    @property
    def title(self) -> str:
        """Its name at the beginning of a sentence."""
        return self.name[0].upper() + self.name[1:]

    def text(self, value: float | None = None) -> str:
        """The value, or another one on the same scale, for people."""
        value = self.value if value is None else value
        return f"{value:.2%}" if self.unit == "share" else f"{value:.4g}"

    def change(self, before: "Score") -> str:
        """From another score to this one, for people: ``-1.30 points``, ``-0.012``, ``+3.1 %``."""
        if self.unit == "share":
            return f"{100 * (self.value - before.value):+.2f} points"
        if self.better < 0:
            return f"{100 * (self.value / before.value - 1):+.1f} %"
        return f"{self.value - before.value:+.3f}"

    def __str__(self) -> str:
        return f"{self.name} {self.text()} [{self.text(self.low)}, {self.text(self.high)}]"


def share_of(right: int, count: int, confidence: float = CONFIDENCE) -> Estimate:
    """A share with its Wilson score interval (Wilson 1927).

    Parameters
    ----------
    right, count : int
        So many of so many.
    confidence : float
        Of the interval.
    """
    interval = stats.binomtest(right, count).proportion_ci(confidence, method="wilson")
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


def over_loads(
    values: np.ndarray, loads: np.ndarray, spread: float, weight: int = 4
) -> tuple[np.ndarray, float, float]:
    """Positive figures freed of what one load of a file differs by from another, and how far that moves their mean.

    A file that is loaded again lies elsewhere in memory, and runs a little faster or slower until it is loaded again
    (Mytkowicz et al.: Producing Wrong Data Without Doing Anything Obviously Wrong, 2009); more runs of the same load
    don't average that out, more loads do (Kalibera & Jones: Rigorous Benchmarking in Reasonable Time, 2013). With
    :math:`L` loads, :math:`s` the standard deviation of their median logarithms, and :math:`s_0` what is usual, taken
    for as good as :math:`w` more loads (a moderated variance: Smyth 2004), the mean moves by

    .. math:: t_{w + L - 1,\\,0.975} \\sqrt{\\frac{w s_0^2 + (L - 1) s^2}{(w + L - 1) L}}

    From four loads on it is at least :math:`t_{L - 1,\\,0.975}\\, s / \\sqrt L`: some files differ more than usual.

    Parameters
    ----------
    values, loads : numpy.ndarray
        Shape (count,): the figures, and the number of the load that each is of.
    spread : float
        The standard deviation of a logarithm that is usual from load to load.
    weight : int
        How many loads that is worth.

    Returns
    -------
    numpy.ndarray
        Shape (count,): every load's figures moved to where the mean of all loads is.
    float
        The reach of the 95 % interval of the mean to each side, as a logarithm.
    float
        The standard deviation from load to load, as it is estimated: without the noise of each load's own figures.
    """
    logs = np.log(np.asarray(values, float))
    names, each = np.unique(loads, return_inverse=True)
    medians = np.array([np.median(logs[each == index]) for index in range(len(names))])
    own = medians.var(ddof=1) if len(names) > 1 else 0.0

    def reach(variance: float, freedom: int) -> float:
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(variance / len(names)))

    def moderated(variance: float) -> float:
        return float((weight * spread**2 + (len(names) - 1) * variance) / freedom)

    freedom = weight + len(names) - 1
    found = reach(moderated(own), freedom)
    if len(names) >= ENOUGH_LOADS:
        found = max(found, reach(own, len(names) - 1))
    noise = sum(_variance_of_median(logs[each == index]) for index in range(len(names))) / len(names)
    return np.exp(logs - medians[each] + medians.mean()), found, float(np.sqrt(moderated(max(0.0, float(own) - noise))))


def _variance_of_median(values: np.ndarray) -> float:
    """By Maritz & Jarrett (1978): order statistics, weighted by the chance to be the median of a like sample."""
    half = (len(values) + 1) / 2
    weights = np.diff(stats.beta.cdf(np.linspace(0, 1, len(values) + 1), half, half))
    ordered = np.sort(values)
    return float(weights @ ordered**2 - (weights @ ordered) ** 2)
