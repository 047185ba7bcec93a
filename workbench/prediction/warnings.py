"""Warnings from data: what this study's own measurements say against a recipe, before it runs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.estimates import Estimate
from workbench.metrics import Metrics
from workbench.prediction.outline import LayerSize
from workbench.prediction.prospect import Prospect
from workbench.recipe import Recipe
from workbench.steps import Distill, Quantize

if TYPE_CHECKING:
    from workbench.trial import Trial

MULTIPLE = 8  # channels that kernels like to have together
FREE = 1.01  # as slow as before, for all that can be told
WARM = 4.0  # temperatures above are soft
FEWEST = 3  # trials on each side of a comparison
SURE = 2.0  # standard errors

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
    """Whether trials of as many bits did better at temperatures on the other side of 4.

    By the difference of their mean accuracies, where it is more than two standard errors (Welch 1947).
    """
    mine = _taught(recipe)
    if mine is None:
        return []
    warm: list[float] = []
    cool: list[float] = []
    for trial in trials:
        other = _taught(trial.recipe)
        if other is not None and other[1] == mine[1] and trial.metrics is not None:
            (warm if other[0] > WARM else cool).append(_accuracy(trial.metrics))
    if min(len(warm), len(cool)) < FEWEST:
        return []
    difference = float(np.mean(warm) - np.mean(cool))
    error = float(np.sqrt(np.var(warm, ddof=1) / len(warm) + np.var(cool, ddof=1) / len(cool)))
    if abs(difference) <= SURE * error or (difference > 0) == (mine[0] > WARM):
        return []
    side = "above" if difference > 0 else "up to"
    return [
        f"In {len(warm) + len(cool)} trials with {mine[1]}-bit weights, temperatures {side} {WARM:g} were better by"
        f" {100 * abs(difference):.1f} points."
    ]


def _taught(recipe: Recipe) -> tuple[float, int] | None:
    """The temperature and the bits of a recipe that distills; None if it doesn't."""
    temperatures = [step.temperature for step in recipe if isinstance(step, Distill)]
    bits = [step.weight_bits for step in recipe if isinstance(step, Quantize)]
    return (temperatures[-1], bits[-1] if bits else 32) if temperatures else None


def _accuracy(metrics: Metrics) -> float:
    return metrics.score.utility
