"""What is told to become zero beforehand is what becomes zero, weight by weight."""

import copy

import pytest
import torch

from workbench import Dataset, Prune, Study
from workbench.carry_out import context_of
from workbench.prediction.zeros import Zeros
from workbench.steps.base import Work
from workbench.steps.prune import WORKS_WITH

SEED = 5


@pytest.fixture(scope="module")
def study(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study("lenet5", digits, path=tmp_path_factory.mktemp("zeros"))


@pytest.fixture(scope="module")
def zeros(study: Study) -> Zeros:
    return Zeros(study.outline.module, study.outline.context)


def _really(study: Study, step: Prune) -> dict[str, torch.Tensor]:
    work = Work(copy.deepcopy(study.module))
    step.apply(work, context_of(study, SEED))
    return {name: p != 0 for name, p in work.module.named_parameters() if name.endswith("weight")}


@pytest.mark.parametrize("importance", WORKS_WITH["weight"]["importance"])
@pytest.mark.parametrize(
    "knobs",
    [
        {"ratio": 0.0},
        {"ratio": 0.37},
        {"ratio": 0.8, "scope": "global"},
        {"ratio": 0.6, "block_size": 4},
        {"ratio": 0.6, "layers": {"fc1": 0.9, "conv2": 0.0}},
        {"granularity": "n:m", "n": 2, "m": 4},
        {"granularity": "n:m", "n": 1, "m": 2, "layers": {"fc2": 0.0}},
    ],
    ids=str,
)
def test_it_is_what_the_step_does(importance, knobs, study, zeros):
    step = Prune.model_validate({"granularity": "weight", "importance": importance} | knobs)
    assert zeros.name(step, SEED)
    expected, kept = _really(study, step), zeros.kept(step, SEED)
    whole = {name: study.module.get_parameter(name) != 0 for name in expected}
    for name in expected:
        assert torch.equal(kept.get(name, whole[name]) & whole[name], expected[name])


def test_chance_depends_on_the_seed_and_nothing_else_does(zeros):
    by_chance, taylor = (Prune(granularity="weight", importance=name) for name in ("random", "taylor"))
    assert zeros.name(by_chance, 1) != zeros.name(by_chance, 2)
    assert not torch.equal(zeros.kept(by_chance, 1)["fc1.weight"], zeros.kept(by_chance, 2)["fc1.weight"])
    assert zeros.name(taylor, 1) == zeros.name(taylor, 2)


def test_norms_of_single_weights_are_one(zeros):
    assert len({zeros.name(Prune(granularity="weight", importance=name), 0) for name in ("l1", "l2")}) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"ratio": 0.3},
        {"importance": "lamp"},
        {"scope": "global"},
        {"block_size": 4},
        {"layers": {"fc1": 0.1}},
        {"granularity": "n:m"},
    ],
    ids=str,
)
def test_other_prunings_have_other_names(other, zeros):
    step = {"granularity": "weight", "importance": "l1", "ratio": 0.5}
    one, two = Prune.model_validate(step), Prune.model_validate(step | other)
    assert zeros.name(one, 0) != zeros.name(two, 0)
