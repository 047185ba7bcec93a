"""From what a recipe does to a model to its accuracy: a Gaussian process over probes and the study's own trials."""

import warnings
from collections.abc import Sequence

import numpy as np
from scipy import stats
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

from workbench.estimates import Estimate
from workbench.prediction.base import CONFIDENCE

EDGE = 1e-3  # shares nearer to 0 or 1 are taken for this near: their logit says no more
MOST = 200  # observations: time grows with their cube
LEAST = 0.1  # of a logit, that observations are taken to differ by
FAR = (9e3, 2e4)  # lengths along features that make no difference


class AccuracyModel:
    r"""Accuracy from features, by a Gaussian process on its logit (Rasmussen & Williams 2006, chapter 2).

    The kernel is a line plus a Matérn function of one length over standardized features (chapter 4.2), with their
    sizes, the length and the noise by marginal likelihood: a length for each feature fits few observations too well,
    and its intervals then hold too seldom. Each observation also has the variance of its own sample,
    :math:`1 / (n p (1 - p))`. Intervals are widened by how much the standardized errors, each observation predicted
    without itself in closed form (chapter 5.4.2), exceed what a normal distribution would give, and by what a sample of
    samples leaves open, :math:`(1/n - 1/N) / (p (1 - p))` (Cochran: Sampling Techniques, 1977, chapter 2.6).

    Parameters
    ----------
    features : sequence of numpy.ndarray
        One row for each observation, shape (features,).
    shares : sequence of float
        Accuracies, in [0, 1].
    samples : sequence of int
        On so many samples each.
    total : int, optional
        So many samples judge what is foreseen: intervals allow for those that observations have not seen.
    about : bool
        Whether the last feature is a logit about which accuracies lie: the process then tells how far off it is, in
        which a function of that logit alone has a part.
    """

    def __init__(
        self,
        features: Sequence[np.ndarray],
        shares: Sequence[float],
        samples: Sequence[int],
        total: int = 0,
        about: bool = False,
    ):
        self._about, table = about, np.array(features)[-MOST:]
        p = np.clip(np.array(shares)[-MOST:], EDGE, 1 - EDGE)
        noise = 1 / (np.array(samples)[-MOST:] * p * (1 - p))
        self._center, deviation = table.mean(0), table.std(0)
        self._factor = np.where(deviation > 1e-9, 1 / np.maximum(deviation, 1e-9), 0.0)
        seen = float(np.median(samples))
        self._unseen = max(0.0, 1 / seen - 1 / total) if total else 0.0
        logits = np.log(p / (1 - p))
        self._mean, self._spread = logits.mean(), max(logits.std(), LEAST)
        x, y = self._standard(table), (logits - self._middle(table)) / self._spread
        kernel = (
            ConstantKernel(1.0, (1e-3, 1e2)) * DotProduct(1.0)
            + ConstantKernel(0.3, (1e-3, 1e2)) * Matern(2.0, (0.3, 30.0), nu=2.5)
            + WhiteKernel(1e-2, (1e-5, 0.3))
        )
        if about:
            others = x.shape[1] - 1
            alone = Matern([FAR[0]] * others + [1.0], np.array([FAR] * others + [(0.2, 10.0)]), nu=2.5)
            kernel += ConstantKernel(0.3, (1e-3, 1e2)) * alone
        self._process = GaussianProcessRegressor(kernel, alpha=noise / self._spread**2, n_restarts_optimizer=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a noise at its bound is none
            self._process.fit(x, y)
        self._widening = self._calibrated(x, y)

    def at(self, features: np.ndarray, chance: float) -> Estimate:
        """Mean and interval of the accuracy; `chance` is that of a guess."""
        mean, deviation = self._process.predict(self._standard(features[None]), return_std=True)
        center = float(self._middle(features[None])[0]) + self._spread * float(mean[0])
        p = min(max(float(expit(center)), EDGE), 1 - EDGE)
        deviation = np.hypot(self._spread * float(deviation[0]) * self._widening, np.sqrt(self._unseen / (p * (1 - p))))
        return told(center, stats.norm.ppf((1 + CONFIDENCE) / 2) * float(deviation), chance)

    def _middle(self, table: np.ndarray) -> np.ndarray:
        """The logits about which accuracies lie."""
        found: np.ndarray = table[:, -1] if self._about else np.full(len(table), self._mean)
        return found

    def _standard(self, table: np.ndarray) -> np.ndarray:
        found: np.ndarray = (table - self._center) * self._factor  # what was always the same says nothing
        return found

    def _calibrated(self, x: np.ndarray, y: np.ndarray) -> float:
        """By how much intervals must be wider to hold as many of the left-out observations as they say."""
        k = self._process.kernel_(x) + np.diag(self._process.alpha)
        inverse = np.linalg.inv(k)
        errors = np.abs(inverse @ y / np.sqrt(np.diag(inverse)))
        expected = stats.norm.ppf((1 + CONFIDENCE) / 2)
        return float(max(1.0, np.quantile(errors, CONFIDENCE) / expected))


def told(center: float, reach: float, chance: float) -> Estimate:
    """An accuracy by its logit, to both sides of which the interval reaches.

    What is ruined answers as by chance: less than that isn't expected, and less than half of it isn't thought possible.
    """
    low, value, high = (float(1 / (1 + np.exp(-logit))) for logit in (center - reach, center, center + reach))
    return Estimate(value=max(value, chance), low=max(low, chance / 2), high=max(high, chance))
