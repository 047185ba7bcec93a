"""Where the next recipes of a search come from: what was trained is made use of, in more than one way."""

from dataclasses import replace

import numpy as np
import pytest

from workbench import Dataset, Half, Quantize, Recipe, Study, Trial
from workbench.prefixes import done, forget
from workbench.search.candidates import Candidate, Pool
from workbench.search.continuation import merged
from workbench.search.goals import Goal
from workbench.search.rungs import Params, Rungs
from workbench.search.sampler import Sampler
from workbench.search.space import Space
from workbench.sensitivity_scan import sensitivity
from workbench.steps.quantize import FLOATS

STARTS = [{"prune": True, "prune.ratio": ratio, "distill": True, "distill.epochs": 1} for ratio in (0.3, 0.6, 0.8)]


@pytest.fixture(scope="module")
def pool(few_digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """Of a search on LeNet-300-100 that has measured three recipes with training."""
    forget()
    study = Study("lenet300", few_digits, path=tmp_path_factory.mktemp("studies") / "lenet300")
    space = Space.of(None, study.runtime, sensitivity(study, bits=[8]))
    for start in STARTS:
        assert study.run(space.at({**start, "quantize": True})[0]).state == "complete"
    assert study.baseline.metrics is not None
    goal = Goal.of(["accuracy", "size_bytes"], {"accuracy": 0.995}, study.baseline.metrics)
    sampler = Sampler(study.path / "search.db", "test", goal, space)
    return Pool(study, goal, space, sampler, Rungs(space), np.random.default_rng(0))


@pytest.fixture(scope="module")
def drawn(pool: Pool) -> list[Candidate]:
    return pool.drawn(_params(pool))


def _params(pool: Pool) -> dict[int, Params]:
    return {trial.number: pool.space.at(start)[1] for trial, start in zip(_trials(pool), STARTS, strict=True)}


def _trials(pool: Pool) -> list[Trial]:
    return pool.study.trials[1 : 1 + len(STARTS)]


def test_none_is_drawn_twice_and_all_but_those_that_go_on_train_as_little_as_can_be(
    pool: Pool, drawn: list[Candidate]
) -> None:
    assert len({candidate.recipe.hash for candidate in drawn}) == len(drawn) > 40
    longer = [c for c in drawn if c.params.get("distill") and c.params["distill.epochs"] > 1]
    assert [c.params["distill.epochs"] for c in longer] == [2]


def test_what_goes_on_begins_with_what_is_trained_already(pool: Pool, drawn: list[Candidate]) -> None:
    (longer,) = (c for c in drawn if c.params.get("distill") and c.params["distill.epochs"] > 1)
    assert [step.key() for step in longer.recipe] == ["prune", "distill", "distill", "quantize"]
    assert done(pool.study, longer.recipe) == 2


def test_what_is_trained_may_end_in_floats_of_32_or_16_bits_or_where_it_lost_too_much_with_a_layer_in_floats(
    pool: Pool, drawn: list[Candidate]
) -> None:
    hashes = {candidate.recipe.hash for candidate in drawn}
    for trial in _trials(pool):
        trained = trial.recipe.steps[:2]
        assert Recipe(trained).hash in hashes and Recipe([*trained, Half()]).hash in hashes
        assert _floats(pool, trial, 1).hash in hashes


def test_one_layer_after_the_other_goes_back_to_floats_until_the_limit_holds(pool: Pool) -> None:
    trial = pool.study.run(_floats(pool, _trials(pool)[0], 1))
    assert trial.state == "complete"
    try:
        hashes = {candidate.recipe.hash for candidate in pool.drawn(_params(pool))}
        assert _floats(pool, trial, 2).hash in hashes and _floats(pool, trial, 3).hash not in hashes
    finally:
        pool.study.label(trial, deleted=True)


def test_no_more_layers_go_back_where_the_first_ones_brought_nothing_back(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.search.candidates.PATIENCE", 1)
    integers = _trials(pool)[1]
    trial = pool.study.run(_floats(pool, integers, 1))
    assert trial.metrics is not None and integers.metrics is not None
    helped = trial.metrics.score.value > integers.metrics.score.value
    try:
        hashes = {candidate.recipe.hash for candidate in pool.drawn(_params(pool))}
        assert (_floats(pool, trial, 2).hash in hashes) is helped
    finally:
        pool.study.label(trial, deleted=True)


def test_none_goes_back_where_floats_lose_too_much_as_well(pool: Pool) -> None:
    integers = _trials(pool)[2]
    trial = pool.study.run(Recipe(integers.recipe.steps[:2]))
    assert trial.metrics is not None and trial.metrics.score.value < 0.995
    try:
        assert _floats(pool, integers, 1).hash not in {candidate.recipe.hash for candidate in pool.drawn(_params(pool))}
    finally:
        pool.study.label(trial, deleted=True)


def _floats(pool: Pool, trial: Trial, count: int) -> Recipe:
    """A trial's recipe with so many layers in floats, those first that 8 bits harm most."""
    sensitivity = pool.space.sensitivity
    assert sensitivity is not None
    worst = sorted(sensitivity.grid("bits")[0], key=lambda name: sensitivity.error("bits", name, 8), reverse=True)
    *trained, quantize = trial.recipe.steps
    return Recipe([*trained, quantize.model_copy(update={"layers": dict.fromkeys(worst[:count], FLOATS)})])


def test_what_is_outside_of_the_space_is_not_told_to_the_sampler(drawn: list[Candidate]) -> None:
    outside = [c for c in drawn if any(isinstance(step, Quantize) and step.layers for step in c.recipe)]
    assert outside and all(candidate.params == {} for candidate in outside)


@pytest.mark.parametrize(
    "wishes",
    [
        {"half.format": ["float16", "bfloat16"]},
        {"shareweights.bits": [3, 4, 5]},
        {"quantize.mode": ["static", "dynamic"], "quantize.latency_budget": (0.5, 0.9)},
        {"pack": True},
        {"quantize.weight_bits": [8, 4], "quantize.simulate": [True]},
        {"quantize": True},
        {"quantize": False},
    ],
    ids=str,
)
def test_whatever_the_user_searches_the_candidates_are_in_that_space_or_restore_layers(
    pool: Pool, wishes: dict
) -> None:
    space = Space.of(wishes, pool.study.runtime, pool.space.sensitivity)
    sampler = Sampler(pool.study.path / "search.db", f"test {wishes}", pool.goal, space)
    other = replace(pool, space=space, sampler=sampler, rungs=Rungs(space))
    known = {trial.number: space.params(trial.recipe) for trial in _trials(pool)}
    drawn = other.drawn({number: params for number, params in known.items() if params is not None})
    assert drawn
    for candidate in drawn:
        if candidate.params:
            assert merged(space.at(candidate.params)[0]) == merged(candidate.recipe)
        keys = {step.key() for step in candidate.recipe}
        assert keys <= set(space.steps) and (space.always <= keys or not candidate.params)


def test_where_accuracy_has_no_limit_no_layer_is_restored(pool: Pool) -> None:
    free = replace(pool, goal=Goal(pool.goal.objectives, {}))
    drawn = free.drawn(_params(pool))
    assert not any(step.layers for candidate in drawn for step in candidate.recipe if isinstance(step, Quantize))


def test_another_process_has_nothing_to_go_on_with(pool: Pool) -> None:
    forget()
    hashes = {candidate.recipe.hash for candidate in pool.drawn(_params(pool))}
    assert not hashes & {Recipe(trial.recipe.steps[:2]).hash for trial in _trials(pool)}
