"""How alike samples are: from a changed model's answers to a few, what it would answer to all the others."""

import math

import numpy as np
from scipy.special import ndtr

NOISE = 0.01  # of what a sample's answers vary by, which no other sample tells
TINY = 1e-12  # of a variance of logits of usual size


class Likeness:
    r"""Ordinary kriging of logits from anchor points to all samples, by a covariance that was seen of other models.

    Two samples are alike as far as the logits of changed models rise and fall together at them, from model to model:
    :math:`k(i, j)` is the mean over models and classes of the products of their centred logits. A new model's
    logits are then foreseen everywhere by Gaussian process regression with an unknown mean (Rasmussen & Williams 2006,
    chapters 2.2 and 2.7; Cressie: Statistics for Spatial Data, 1993, chapter 3.2). How far that is off is told by
    each anchor point, foreseen from the others (Dubrule: Cross validation of kriging in a unique neighborhood, 1983);
    so the share answered right is the mean of the probabilities that the right class lies above the next.

    Parameters
    ----------
    likeness : numpy.ndarray
        k of each sample and each anchor point, shape (samples, anchors).
    places : numpy.ndarray
        Which of the samples the anchor points are.
    labels : numpy.ndarray
        The right classes, shape (samples,).
    """

    def __init__(self, likeness: np.ndarray, places: np.ndarray, labels: np.ndarray):
        self._likeness, self._labels = likeness.astype(np.float64), labels
        inverse = np.linalg.inv(self._likeness[places] + NOISE * np.eye(len(places)))
        self._inverse, self._mean = inverse, inverse.sum(0) / inverse.sum()
        self._alone = 1 / np.maximum(np.diag(inverse) - self._mean * inverse.sum(0), TINY)

    def share(self, logits: np.ndarray) -> float:
        """What share of all samples a model answers right, by its logits at the anchors, shape (anchors, classes)."""
        foreseen, off = self._foreseen(logits)
        covariance = off.T @ off / len(off)
        variance, every, right = np.diag(covariance), np.arange(len(foreseen)), self._labels
        at_right = foreseen[every, right].copy()
        foreseen[every, right] = -np.inf
        next_best = foreseen.argmax(1)
        margins = at_right - foreseen[every, next_best]
        spread = variance[right] + variance[next_best] - 2 * covariance[right, next_best]
        return float(ndtr(margins / np.sqrt(np.maximum(spread, TINY))).mean())

    def off(self, logits: np.ndarray) -> np.ndarray:
        """How far each anchor's logits, of size one, are from what the others foresee, shape (anchors, classes)."""
        return self._foreseen(logits)[1]

    def _foreseen(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits of all samples, shape (samples, classes), and how far those of anchors are off."""
        told = _scaled(logits)
        mean = self._mean @ told
        weights = self._inverse @ (told - mean)
        return mean + self._likeness @ weights, weights * self._alone[:, None]


def alike(answers: np.ndarray) -> np.ndarray | None:
    """How alike samples are, shape (samples, samples), one for a sample and itself on average.

    Parameters
    ----------
    answers : numpy.ndarray
        Logits of models, shape (models, samples, classes).

    Returns
    -------
    numpy.ndarray or None
        None if all answer nothing.
    """
    count = answers.shape[1]
    products = np.zeros((count, count))
    for logits in answers:
        told = _scaled(logits)
        told -= told.mean(0)
        products += told @ told.T
    size = np.trace(products) / count
    return products / size if size > 0 else None


def _scaled(logits: np.ndarray) -> np.ndarray:
    """Logits of a model, shape (samples, classes), about zero for each sample, and of size one."""
    told = np.nan_to_num(logits.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    told -= told.mean(1, keepdims=True)
    size = math.sqrt((told**2).mean())
    return told / size if size > 0 else told
