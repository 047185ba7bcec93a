"""How weights are moved: the course of the learning rate, and penalties."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Finetune
from workbench.models import MODELS
from workbench.training.optimizers import norms, rate

UPDATES = 100


def _course(**knobs) -> list[float]:
    return [rate(Finetune(**knobs), update, UPDATES) for update in range(UPDATES + 1)]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "step", "constant"])
def test_the_rate_rises_linearly_over_the_warm_up(schedule):
    assert _course(schedule=schedule, warmup=0.1)[:12] == pytest.approx(
        [k / 11 for k in range(1, 11)] + [1.0] * 2, abs=2e-2
    )


@pytest.mark.parametrize("final", [0.0, 0.3])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_rate_falls_to_its_final_share(schedule, final):
    course = _course(schedule=schedule, final_rate=final, warmup=0.0)
    assert (course[0], course[-1]) == (pytest.approx(1.0), pytest.approx(final))
    assert course == sorted(course, reverse=True)
    assert course[50] == pytest.approx((1 + final) / 2)
    assert course[25] == pytest.approx(
        final + (1 - final) * (0.75 if schedule == "linear" else (1 + math.sqrt(0.5)) / 2)
    )


@pytest.mark.parametrize(("final", "least"), [(0.0, 0.01), (0.05, 0.05)])
def test_steps_are_to_a_tenth_and_to_a_hundredth(final, least):
    course = _course(schedule="step", final_rate=final, warmup=0.0)
    assert (course[:50], course[50:75], course[75:]) == ([1.0] * 50, [0.1] * 25, [least] * 26)


def test_a_constant_rate_stays():
    assert _course(schedule="constant", warmup=0.0, final_rate=0.5) == [1.0] * 101


def test_the_penalty_is_that_of_its_formula_and_leaves_biases_and_batch_norm_alone():
    torch.manual_seed(0)
    module = nn.Sequential(MODELS["lenet5"].build(1, 10), nn.BatchNorm1d(10))
    weights = [p.detach().numpy().ravel() for name, p in module.named_parameters() if p.ndim > 1]
    flat = np.concatenate(weights).astype(np.float64)
    expected = 0.03 * np.abs(flat).sum() + 0.2 / 2 * (flat**2).sum()
    assert norms(module, 0.03, 0.2).item() == pytest.approx(expected, rel=1e-5)
