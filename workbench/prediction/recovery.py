"""What training brings back: a rule of thumb at first, and what the study's own trials make of it."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

from workbench.estimates import Estimate
from workbench.prediction.accuracy import told
from workbench.prediction.base import CONFIDENCE
from workbench.prediction.curves import logit

HALF_WAY = 120.0  # updates of Adam at its usual rate, after whose square root two thirds are back
CAPACITY = 1.2  # what the best logit falls by, for the logarithm of the share of parameters and the root of the errors
SCALES = np.array([2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 1.0])
"""How far two recipes have to lie apart, feature by feature, to say little of each other."""
COMMON, SLOPE = 0.35, 0.17  # of a logit: how far off the rule is for a whole task, and for each feature of it
DEVIATION, NOISE = 0.4, 0.25  # the same for single recipes, beyond what the task tells, and for repetitions
FEWEST = 4  # trials, from which on these are learned, too
FURTHEST = 3.0  # logits that one trial may tell against the rule: a collapse is one of its own


@dataclass(frozen=True)
class Trained:
    """What a trained recipe is told by.

    Attributes
    ----------
    before : float
        The accuracy without the training.
    updates : float
        Of the weights, each counted by its learning rate.
    features : numpy.ndarray
        Whatever else may matter, shape (features,); first the logarithm of the share of parameters that is left.
    """

    before: float
    updates: float
    features: np.ndarray


class Recovery:
    r"""Accuracy after training, by a Gaussian process about a rule of thumb (Rasmussen & Williams 2006, chapter 2.7).

    The rule is that of what lies between the logit before and the one that a network with a share p of the parameters
    can have, a training of u updates brings back

    .. math:: 1 - \exp(-\sqrt{u / 120}),

    and that this logit is the baseline's plus :math:`1.2 \sqrt{e} \ln p`, with e the baseline's share of errors: where
    much is wrong already, little can go. LeNet-5 on MNIST (0.7 % errors) lost an eighth of the logarithm of p,
    ResNet-20 on CIFAR-10 (10 %) nearly a half.

    Before any trial, intervals are as wide as the rule is rough. Each trial says how far off it was: for the task as a
    whole by a line over all features, as one is harder than another, and most for recipes like its own.

    Parameters
    ----------
    top : float
        The baseline's accuracy.
    trials : sequence of Trained
    reached : sequence of float
        The accuracy of each.
    """

    def __init__(self, top: float, trials: Sequence[Trained], reached: Sequence[float]):
        self.top = top
        kernel = (
            ConstantKernel(SLOPE**2, "fixed") * DotProduct(COMMON / SLOPE, "fixed")
            + ConstantKernel(DEVIATION**2, (0.04, 4.0)) * Matern(1.5, (0.3, 5.0), nu=1.5)
            + WhiteKernel(NOISE**2, (1e-2, 0.5))
        )
        learn = "fmin_l_bfgs_b" if len(trials) >= FEWEST else None
        self._process = GaussianProcessRegressor(kernel, alpha=1e-6, optimizer=learn)
        if trials:
            off = [logit(share) - self._rule(trial) for trial, share in zip(trials, reached, strict=True)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # a noise at its bound is none
                self._process.fit(self._table(trials), np.clip(off, -FURTHEST, FURTHEST))

    def at(self, trained: Trained, chance: float) -> Estimate:
        """Mean and interval of the accuracy; `chance` is that of a guess."""
        mean, deviation = self._process.predict(self._table([trained]), return_std=True)
        center = self._rule(trained) + float(np.atleast_1d(mean)[0])
        reach = stats.norm.ppf((1 + CONFIDENCE) / 2) * float(np.atleast_1d(deviation)[0])
        return told(center, reach, chance)

    def _rule(self, trained: Trained) -> float:
        back = 1 - np.exp(-np.sqrt(trained.updates / HALF_WAY))
        reachable = logit(self.top) + CAPACITY * np.sqrt(1 - self.top) * trained.features[0]
        before = min(logit(trained.before), logit(self.top))
        return float(before + back * max(0.0, reachable - before))

    def _table(self, trials: Sequence[Trained]) -> np.ndarray:
        rows = [[logit(t.before), np.log1p(t.updates / HALF_WAY), *t.features] for t in trials]
        return np.array(rows) / SCALES[: len(rows[0])]
