"""Targets: each is its formula, and what makes it that one."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workbench.distillation import TARGETS


def _softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(1, keepdims=True)


def _soft(z: np.ndarray, t: np.ndarray, temperature: float) -> float:
    p, q = _softmax(t / temperature), _softmax(z / temperature)
    return temperature**2 * (p * np.log(p / q)).sum(1).mean()


def _hard(z: np.ndarray, t: np.ndarray, temperature: float) -> float:
    return -np.log(_softmax(z)[np.arange(len(z)), t.argmax(1)]).mean()


BY_HAND = {
    "soft": _soft,
    "hard": _hard,
    "soft+hard": lambda *given: (_soft(*given) + _hard(*given)) / 2,
}


def _logits() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 5)), rng.normal(size=(6, 5)) * 3


def test_every_kind_is_tested_here():
    assert TARGETS.keys() == BY_HAND.keys()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("kind", TARGETS)
def test_it_is_its_formula(kind, temperature):
    z, t = _logits()
    value = TARGETS[kind](torch.from_numpy(z), torch.from_numpy(t), temperature)
    assert value.item() == pytest.approx(BY_HAND[kind](z, t, temperature))


def test_soft_targets_are_met_by_the_teacher_itself_and_by_nobody_else():
    z, t = map(torch.from_numpy, _logits())
    assert TARGETS["soft"](t + 5.0, t, 4.0).item() == pytest.approx(0.0, abs=1e-12)  # logits are known up to a constant
    assert TARGETS["soft"](z, t, 4.0) > 0


def test_at_temperature_one_the_gradient_of_soft_targets_is_that_of_cross_entropy_with_probabilities():
    z, t = map(torch.from_numpy, _logits())
    z.requires_grad_()
    (soft,) = torch.autograd.grad(TARGETS["soft"](z, t, 1.0), z)
    (crossed,) = torch.autograd.grad(F.cross_entropy(z, t.softmax(1)), z)
    assert torch.allclose(soft, crossed)


def test_at_a_high_temperature_soft_targets_compare_the_centred_logits():
    """Hinton et al., section 2.1: the gradient tends to (z - t) / classes."""
    z, t = map(torch.from_numpy, _logits())
    z, t = (x - x.mean(1, keepdim=True) for x in (z, t))
    z.requires_grad_()
    (gradient,) = torch.autograd.grad(TARGETS["soft"](z, t, 1e4) * len(z), z)
    assert torch.allclose(gradient, (z - t).detach() / 5, atol=1e-3)


def test_hard_targets_see_the_teachers_answer_only():
    z, t = map(torch.from_numpy, _logits())
    other = torch.where(t == t.max(1, keepdim=True).values, 9.0, 0.0).double()
    assert TARGETS["hard"](z, t, 4.0) == TARGETS["hard"](z, other, 4.0)
    assert TARGETS["soft"](z, t, 4.0) != TARGETS["soft"](z, other, 4.0)
