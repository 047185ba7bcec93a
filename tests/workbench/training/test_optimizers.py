"""How weights are moved: the course of the learning rate, and penalties."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Finetune
from workbench.models import MODELS
from workbench.training.optimizers import norms, optimizer_of, rate

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


RATE, DECAY = 0.1, 0.3


def _formula(optimizer: str, weight: float, gradients: list[float]) -> float:
    """What the papers make of a weight: Nesterov's momentum as Sutskever et al. have it, Adam, and AdamW."""
    velocity = first = second = 0.0
    for step, gradient in enumerate(gradients, start=1):
        decayed = gradient + DECAY * weight  # in the gradient: L2 regularization
        if optimizer == "sgd":
            velocity = 0.9 * velocity + decayed
            weight -= RATE * (decayed + 0.9 * velocity)
            continue
        if optimizer == "adamw":  # beside the gradient: decoupled
            weight, decayed = weight * (1 - RATE * DECAY), gradient
        first = 0.9 * first + 0.1 * decayed
        second = 0.999 * second + 0.001 * decayed**2
        weight -= RATE * first / (1 - 0.9**step) / (math.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return weight


@pytest.mark.parametrize("optimizer", get_args(Finetune.model_fields["optimizer"].annotation))
def test_each_optimizer_moves_a_weight_as_its_formula_says(optimizer):
    gradients, settings = [0.5, -2.0, 3.0], Finetune(optimizer=optimizer, learning_rate=RATE, weight_decay=0.1)
    settings = settings.model_copy(update={"weight_decay": DECAY})  # more than is sensible, to be seen
    weight = nn.Parameter(torch.tensor([1.5], dtype=torch.float64))
    moving = optimizer_of([weight], settings)
    for done, gradient in enumerate(gradients, start=1):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        moving.step()
        assert weight.item() == pytest.approx(_formula(optimizer, 1.5, gradients[:done]), rel=1e-6)
