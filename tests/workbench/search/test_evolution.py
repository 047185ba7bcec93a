"""Evolution finds what greedy moves don't, keeps to its share, and is never worse than where it starts."""

import numpy as np
import pytest

from workbench.search.evolution import evolved

LEVELS = {"a": (0.0, 0.2, 0.4, 0.6, 0.8), "b": (0.0, 0.2, 0.4, 0.6, 0.8), "c": (0.0, 0.5)}


def left(ratios: dict) -> float:
    return 1 - float(np.mean([ratios[name] for name in LEVELS]))


def clash(ratios: dict) -> float:
    """Cutting a and b together is far worse than either alone."""
    return ratios["a"] + ratios["b"] + 20 * ratios["a"] * ratios["b"] + 3 * ratios["c"]


def test_it_finds_the_best_of_all_where_cuts_go_badly_together() -> None:
    found = evolved(LEVELS, clash, left, 0.75)
    every = [{"a": a, "b": b, "c": c} for a in LEVELS["a"] for b in LEVELS["b"] for c in LEVELS["c"]]
    best = min(clash(ratios) for ratios in every if left(ratios) <= 0.75)
    assert left(found) <= 0.75 and clash(found) == pytest.approx(best)
    assert all(found[name] in values for name, values in LEVELS.items())


def test_it_is_never_worse_than_where_it_starts() -> None:
    start = {"a": 0.8, "b": 0.0, "c": 0.0}
    found = evolved(LEVELS, clash, left, 0.75, start, generations=1)
    assert left(found) <= 0.75 and clash(found) <= clash(start)


def test_the_same_seed_finds_the_same() -> None:
    assert evolved(LEVELS, clash, left, 0.6, seed=3) == evolved(LEVELS, clash, left, 0.6, seed=3)
