"""Warnings from data: what this study's own measurements say against a recipe, before it runs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from workbench.estimates import Estimate
from workbench.prediction.outline import LayerSize
from workbench.prediction.prospect import Prospect
from workbench.recipe import Recipe
from workbench.steps import Distill, Quantize
from workbench.steps.finetune import Training

if TYPE_CHECKING:
    from workbench.trial import Trial

MULTIPLE = 8  # channels that kernels like to have together
FREE = 1.01  # as slow as before, for all that can be told
WARM = 4.0  # temperatures above are soft
FEWEST, FREEDOM = 3, 3  # trials on each side of a comparison; degrees of freedom
APART = 0.2  # of the variance of a side that nothing else tells, at least: else it is a name for the other things
OPERATIONS, EPOCHS = 0.25, 1.0  # by how many doublings trials may differ that are compared

Share = Callable[[tuple[LayerSize, ...]], Estimate]


def odd_widths(prospect: Prospect, share: Share) -> list[str]:
    """Whether wider layers, rounded up to a multiple, are foreseen to be as fast: then narrow ones are thrown away.

    Parameters
    ----------
    prospect : Prospect
    share : callable
        From the sizes of layers to the share of the baseline's latency, by models timed on this machine.
    """
    wider = {
        key: min(prospect.outline.whole(key), -(-kept // MULTIPLE) * MULTIPLE) if key[0] == "channel" else kept
        for key, kept in prospect.cut.items()
    }
    added = sum(wider[key] - kept for key, kept in prospect.cut.items())
    if not added:
        return []
    now, then = (share(prospect.outline.size(cut).layers).value for cut in (prospect.cut, wider))
    if then > FREE * now:
        return []
    return [
        f"By models timed here, {added} more channels, up to multiples of {MULTIPLE}, would cost no time: set 'Round"
        f" channels to' to {MULTIPLE}."
    ]


def slower(share: Estimate) -> list[str]:
    """Whether even the lower end of the interval is slower than the baseline."""
    return ["By models timed here, this is slower than the baseline."] if share.low > 1 else []


def temperature(recipe: Recipe, trials: "Sequence[Trial]") -> list[str]:
    """Whether trials of as many bits did better at temperatures on the other side of 4, all else alike.

    By least squares with what else differs between them: the share of operations that is left, epochs, the logarithm of
    the learning rate, and the teacher's weight. Only trials count that have one on the other side with about as many
    operations and epochs, so that no line is drawn to where there are none; and only a difference that is surely one,
    by Student's t.
    """
    mine = _taught(recipe)
    if mine is None:
        return []
    rows = [
        (_taught(trial.recipe), _beside(trial), trial.metrics.score.utility)
        for trial in trials
        if trial.metrics is not None and _taught(trial.recipe) is not None
    ]
    alike = [(other[0] > WARM, beside, score) for other, beside, score in rows if other and other[1] == mine[1]]
    paired = [row for row in alike if any(row[0] != other[0] and _near(row[1], other[1]) for other in alike)]
    warm = np.array([float(side) for side, _, _ in paired])
    if min(warm.sum(), len(warm) - warm.sum()) < FEWEST:
        return []
    difference, error = _difference(warm, np.array([b for _, b, _ in paired]), np.array([y for _, _, y in paired]))
    if not abs(difference) > error or (difference > 0) == (mine[0] > WARM):
        return []
    side = "above" if difference > 0 else "up to"
    return [
        f"In {len(warm)} trials with {mine[1]}-bit weights, temperatures {side} {WARM:g} were better by"
        f" {100 * abs(difference):.1f} points, all else alike."
    ]


def _difference(warm: np.ndarray, beside: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """What warmth adds to a score beside all else, and half of its 95 % interval; infinite where that can't be told."""
    others = np.column_stack([np.ones(len(warm)), beside - beside.mean(0)])
    own = warm - others @ np.linalg.lstsq(others, warm, rcond=None)[0]
    free = len(warm) - int(np.linalg.matrix_rank(others)) - 1
    if own @ own < APART * ((warm - warm.mean()) @ (warm - warm.mean())) or free < FREEDOM:
        return 0.0, float("inf")
    left = scores - others @ np.linalg.lstsq(others, scores, rcond=None)[0]
    difference = float(own @ left / (own @ own))
    rest = left - difference * own
    return difference, float(stats.t.ppf(0.975, free) * np.sqrt(rest @ rest / free / (own @ own)))


def _taught(recipe: Recipe) -> tuple[float, int] | None:
    """The temperature and the bits of a recipe that distills; None if it doesn't."""
    temperatures = [step.temperature for step in recipe if isinstance(step, Distill)]
    bits = [step.weight_bits for step in recipe if isinstance(step, Quantize)]
    return (temperatures[-1], bits[-1] if bits else 32) if temperatures else None


def _beside(trial: "Trial") -> list[float]:
    """What else decides how accurate a distilled model is; doublings of operations, epochs and the learning rate."""
    trainings = [step for step in trial.recipe if isinstance(step, Training)]
    last = next(step for step in reversed(trainings) if isinstance(step, Distill))
    macs = trial.metrics.macs if trial.metrics else 0
    figures = (max(1, macs), sum(step.epochs for step in trainings), last.learning_rate)
    return [*(float(np.log2(figure)) for figure in figures), last.alpha]


def _near(one: list[float], other: list[float]) -> bool:
    """Whether two trials have about as many operations, and epochs."""
    return abs(one[0] - other[0]) <= OPERATIONS and abs(one[1] - other[1]) <= EPOCHS
