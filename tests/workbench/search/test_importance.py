"""What decides an objective is told where trials tell it, and else nothing is."""

import numpy as np
import pytest

from workbench.search.goals import QUANTITIES
from workbench.search.importance import FEWEST, SETTLED, deciding, importance


def tried(count: int, seed: int = 0) -> list[dict]:
    """Knobs by chance; distillation is on in half of the trials."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        params = {
            "prune.ratio": generator.uniform(0.1, 0.9),
            "prune.importance": str(generator.choice(["l2", "taylor"])),
        }
        if generator.random() < 0.5:
            params |= {"distill": True, "distill.learning_rate": 10 ** generator.uniform(-4, -2)}
        else:
            params |= {"distill": False}
        found.append(params)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_size_that_depends_on_the_ratio_alone_is_decided_by_the_ratio(seed: int) -> None:
    params = tried(25, seed)
    told = importance(params, np.log([1e6 * (1 - p["prune.ratio"]) for p in params]))
    assert next(iter(told)) == "prune.ratio" and told["prune.ratio"] > 0.8
    assert sum(told.values()) == pytest.approx(1)


def test_a_knob_that_not_all_trials_have_can_decide_too() -> None:
    params = tried(60)
    told = importance(params, [abs(np.log(p.get("distill.learning_rate", 1e-3)) - np.log(1e-2)) for p in params])
    assert next(iter(told)) == "distill.learning_rate"


def test_few_trials_tell_nothing() -> None:
    params = tried(FEWEST)
    sizes = [1 - p["prune.ratio"] for p in params]
    assert importance(params, sizes) and importance(params[1:], sizes[1:]) == {}
    assert importance([], []) == {}


def test_what_no_knob_explains_is_hardly_ever_told() -> None:
    told = [importance(tried(25, seed), np.random.default_rng(100 + seed).normal(size=25)) for seed in range(10)]
    assert sum(map(bool, told)) <= 1


def test_what_is_always_the_same_is_decided_by_nothing() -> None:
    assert importance(tried(25), [1.0] * 25) == importance([{"prune.ratio": 0.5}] * 25, list(range(25))) == {}


def test_trainings_are_left_out_of_what_they_can_not_change() -> None:
    assert set(SETTLED) < set(QUANTITIES)
    params = [{"prune": True, "prune.ratio": 0.5, "distill": True, "distill.epochs": 2, "finetune": False}]
    assert deciding(params, "accuracy") == params
    for objective in SETTLED:
        assert deciding(params, objective) == [{"prune": True, "prune.ratio": 0.5}]
    other = [{**params[0], "distill.student": "lenet5"}]  # whose layers are others
    assert set(other[0]) - set(deciding(other, "size_bytes")[0]) == {"finetune"}
