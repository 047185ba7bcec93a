"""What decides an objective: how much each knob accounts for, by a random forest that has to explain something."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.steps import STEPS, Distill, Finetune

FEWEST = 12  # trials, below which nothing is told
EXPLAINED = 0.3  # of the variance, for trees that have not seen the trial: the least; chance has it in 3 of 100
TREES = 64
SETTLED = ("size_bytes", "latency", "speedup", "macs", "parameters", "memory", "energy")
"""Objectives that trainings of the same layers leave as they are."""

Params = Mapping[str, Any]


def importance(params: Sequence[Params], values: "Sequence[float] | np.ndarray", seed: int = 0) -> dict[str, float]:
    """The share of each knob in what is explained of an objective, the most first; {} where too little is.

    By permutation importance (Breiman 2001, "Random Forests") over the trials that each tree has not seen: how much
    worse it foretells them where a knob's values are shuffled.

    Parameters
    ----------
    params : sequence of mapping
        Of each trial. A knob that a trial doesn't have, as its step is off, is as in the middle of the others.
    values : sequence of float
        The objective of each, on a scale where it is as wide everywhere: a logarithm, where it is a size.
    seed : int
    """
    from sklearn.tree import DecisionTreeRegressor

    names = [
        name for name in dict.fromkeys(n for p in params for n in p) if len({repr(p.get(name)) for p in params}) > 1
    ]
    if len(params) < FEWEST or not names or not np.var(values) > 0:
        return {}
    table, target = np.array([_column(name, params) for name in names]).T, np.array(values, float)
    generator, count = np.random.default_rng(seed), len(params)
    told, seen, worse = np.zeros(count), np.zeros(count), np.zeros(len(names))
    for _ in range(TREES):
        drawn = generator.integers(count, size=count)
        out = np.setdiff1d(np.arange(count), drawn)
        tree = DecisionTreeRegressor(random_state=int(generator.integers(2**31)))
        tree.fit(table[drawn], target[drawn])
        rows = np.repeat(table[out][None], len(names) + 1, axis=0)
        for place in range(len(names)):
            rows[place, :, place] = generator.permutation(rows[place, :, place])
        *shuffled, plain = tree.predict(rows.reshape(-1, len(names))).reshape(len(names) + 1, -1)
        told[out], seen[out] = told[out] + plain, seen[out] + 1
        worse += [np.sum((each - target[out]) ** 2 - (plain - target[out]) ** 2) for each in shuffled]
    once = seen > 0
    left = np.sum((told[once] / seen[once] - target[once]) ** 2) / np.sum((target[once] - target.mean()) ** 2)
    if 1 - left < EXPLAINED or not worse.max() > 0:
        return {}
    shares = np.clip(worse, 0, None) / np.clip(worse, 0, None).sum()
    return {names[place]: float(shares[place]) for place in np.argsort(-shares, kind="stable") if shares[place] > 0}


def deciding(params: Sequence[Params], objective: str) -> list[Params]:
    """Those of the knobs that can change an objective: how a model is trained doesn't change its size or its speed."""
    student = any(p.get("distill.student", "same") != "same" for p in params)
    idle = [key for key, step in STEPS.items() if step in (Finetune, Distill) and not (student and step is Distill)]
    if objective not in SETTLED:
        return list(params)
    return [{name: value for name, value in p.items() if name.split(".")[0] not in idle} for p in params]


def _column(name: str, params: Sequence[Params]) -> list[float]:
    """A knob as numbers: figures as they are, choices by their place."""
    given = [p[name] for p in params if name in p]
    figures = all(isinstance(value, (int, float)) for value in given)
    choices = sorted({repr(value) for value in given})
    numbers = [float(value) if figures else float(choices.index(repr(value))) for value in given]
    middle = float(np.median(numbers))
    left = iter(numbers)
    return [next(left) if name in p else middle for p in params]
