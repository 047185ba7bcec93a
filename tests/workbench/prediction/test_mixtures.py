"""Mixtures put together anew what was probed one by one: every kind of it, and nothing that ruins the model."""

import itertools

import pytest

from workbench import Prune, Quantize, Recipe
from workbench.prediction.mixtures import mixtures

TOP, CHANCE = 0.9, 0.1
WEIGHTS = {"granularity": "weight", "importance": "l1"}
PROBED = [
    *((Recipe([Prune(ratio=ratio)]), share) for ratio, share in ((0.2, 0.6), (0.4, 0.15), (0.6, 0.1))),
    *((Recipe([Prune(ratio=ratio, **WEIGHTS)]), 0.89) for ratio in (0.3, 0.6)),
    (Recipe([Prune(ratio=0.2, importance="taylor", scope="global", round_to=4)]), 0.7),
    *((Recipe([Quantize(weight_bits=bits, simulate=True)]), share) for bits, share in ((8, 0.9), (4, 0.85), (2, 0.1))),
    (Recipe([Prune(ratio=0.3), Quantize(weight_bits=4, simulate=True)]), 0.4),
]


@pytest.fixture(scope="module")
def drawn() -> list[Recipe]:
    return list(itertools.islice(mixtures(PROBED, TOP, CHANCE), 200))


def _of(kind: type, drawn: list[Recipe]) -> list:
    return [step for recipe in drawn for step in recipe if isinstance(step, kind)]


def test_they_prune_by_every_family_that_was_probed_and_by_no_other(drawn):
    kinds = {(step.granularity, step.importance, step.scope, step.round_to) for step in _of(Prune, drawn)}
    assert kinds == {("channel", "l2", "layer", 1), ("weight", "l1", "layer", 1), ("channel", "taylor", "global", 4)}
    assert len(_of(Prune, drawn)) == len(drawn)
    assert 60 < sum(step.granularity == "weight" for step in _of(Prune, drawn)) < 140


def test_no_ratio_is_larger_than_the_first_that_ruined_the_model(drawn):
    channels = [step.ratio for step in _of(Prune, drawn) if step.granularity == "channel"]
    weights = [step.ratio for step in _of(Prune, drawn) if step.granularity == "weight"]
    assert 0.3 < max(channels) <= 0.4 and 0.8 < max(weights) <= 0.9 and min(channels) < 0.05


def test_most_are_rounded_to_bits_that_do_not_ruin_it(drawn):
    bits = [step.weight_bits for step in _of(Quantize, drawn)]
    assert set(bits) == {8, 4} and 80 < len(bits) < 160


def test_they_are_the_same_each_time_and_differ_from_each_other(drawn):
    again = list(itertools.islice(mixtures(PROBED, TOP, CHANCE), 200))
    assert [recipe.hash for recipe in again] == [recipe.hash for recipe in drawn]
    assert len({recipe.hash for recipe in drawn}) > 190


def test_where_no_pruning_was_probed_there_are_none():
    assert not list(mixtures([(Recipe([Quantize(weight_bits=4, simulate=True)]), 0.8)], TOP, CHANCE))


def test_without_bits_they_only_prune():
    pruned = [probed for probed in PROBED if not any(isinstance(step, Quantize) for step in probed[0])]
    assert not _of(Quantize, list(itertools.islice(mixtures(pruned, TOP, CHANCE), 50)))


def test_what_is_more_than_one_of_a_family_is_no_family():
    own = Recipe([Prune(ratio=0.3, layers={"fc1": 0.1})])
    assert not list(mixtures([(own, 0.5)], TOP, CHANCE))
