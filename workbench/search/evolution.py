"""Ratios of each layer by evolution: it also finds what one greedy move after the other does not come by."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.optimize import NonlinearConstraint, differential_evolution

Ratios = Mapping[str, float]
POPULATION, GENERATIONS = 6, 30  # for each group of channels; at most


def evolved(
    levels: Mapping[str, Sequence[float]],
    damage: Callable[[Ratios], float],
    left: Callable[[Ratios], float],
    share: float,
    start: Ratios | None = None,
    seed: int = 0,
    generations: int = GENERATIONS,
) -> dict[str, float]:
    """The ratios of the least damage that leave at most a share: differential evolution (Storn & Price 1997).

    Parameters
    ----------
    levels : mapping
        The ratios that each group may have, from 0 on, by its name.
    damage : callable
        Of ratios; what is kept low.
    left : callable
        What ratios leave, as a share: of multiplications, say.
    share : float
        The most that may be left.
    start : mapping, optional
        Ratios to begin with, which the outcome is never worse than.
    seed, generations : int
    """
    names = list(levels)

    def ratios(genes: np.ndarray) -> dict[str, float]:
        places = np.clip(np.round(genes).astype(int), 0, None)
        return {
            name: levels[name][min(place, len(levels[name]) - 1)] for name, place in zip(names, places, strict=True)
        }

    first = None
    if start is not None:
        first = [min(range(len(levels[n])), key=lambda i, n=n: abs(levels[n][i] - start.get(n, 0.0))) for n in names]  # type: ignore[misc]
    found = differential_evolution(
        lambda genes: damage(ratios(genes)),
        bounds=[(0, len(levels[name]) - 1) for name in names],
        integrality=[True] * len(names),
        constraints=NonlinearConstraint(lambda genes: left(ratios(genes)), -np.inf, share),
        x0=first,
        maxiter=generations,
        popsize=POPULATION,
        polish=False,
        rng=seed,
    )
    best = ratios(found.x)
    if start is not None and (left(best) > share or damage(start) < damage(best)) and left(start) <= share:
        return dict(start)
    return best
