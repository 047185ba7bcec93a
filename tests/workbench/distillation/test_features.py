"""Features: each is its formula, and what makes it that one."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from workbench.distillation import FEATURES
from workbench.distillation.attention import Attention
from workbench.distillation.hints import Hints
from workbench.distillation.pairs import Pair
from workbench.distillation.relational import Relational


def _huber(x: np.ndarray) -> float:
    return float(np.where(np.abs(x) < 1, x**2 / 2, np.abs(x) - 0.5).mean())


def _pair(student: tuple[int, ...], teacher: tuple[int, ...]) -> Pair:
    return Pair("s", "t", student, teacher)


def _maps(channels: int, size: int = 4, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(6, channels, size, size)))


def test_hints_compare_the_very_values_where_both_are_equally_wide():
    v, u = _maps(3), _maps(3, seed=1)
    loss = Hints([_pair((3, 4, 4), (3, 4, 4))])
    assert loss([v], [u]).item() == pytest.approx(100 * ((u.numpy() - v.numpy()) ** 2).mean())
    assert not list(loss.parameters())


@pytest.mark.parametrize(
    ("student", "teacher"), [((3, 4, 4), (5, 4, 4)), ((3,), (5,)), ((7, 3), (7, 5))], ids=["maps", "vectors", "tokens"]
)
def test_hints_of_another_width_pass_through_a_learned_regressor(student, teacher):
    torch.manual_seed(0)
    loss = Hints([_pair(student, teacher)]).double()
    v, u = torch.rand(6, *student, dtype=torch.float64), torch.rand(6, *teacher, dtype=torch.float64)
    weight, bias = (p.detach().numpy() for p in loss.parameters())
    if len(student) == 3:
        told = np.einsum("oc,nchw->nohw", weight[:, :, 0, 0], v) + bias[:, None, None]
    else:
        told = v.numpy() @ weight.T + bias
    assert loss([v], [u]).item() == pytest.approx(100 * ((u.numpy() - told) ** 2).mean())


def test_hints_of_another_size_are_averaged_to_the_smaller_one():
    v, u = _maps(3, size=8), _maps(3, size=4, seed=1)
    averaged = v.numpy().reshape(6, 3, 4, 2, 4, 2).mean((3, 5))
    expected = 100 * ((averaged - u.numpy()) ** 2).mean()
    assert Hints([_pair((3, 8, 8), (3, 4, 4))])([v], [u]).item() == pytest.approx(expected)


def test_attention_is_its_formula():
    v, u = _maps(3), _maps(5, seed=1)

    def q(maps: Tensor) -> np.ndarray:
        summed = (maps.numpy() ** 2).sum(1).reshape(6, -1)
        return summed / np.linalg.norm(summed, axis=1, keepdims=True)

    loss = Attention([_pair((3, 4, 4), (5, 4, 4))])
    assert loss([v], [u]).item() == pytest.approx(500 * ((q(v) - q(u)) ** 2).mean())
    assert not list(loss.parameters())


def test_attention_asks_where_a_layer_looks_not_with_which_channel_nor_how_strongly():
    u = _maps(5)
    loss = Attention([_pair((5, 4, 4), (5, 4, 4))])
    assert loss([-3 * u.flip(1)], [u]).item() == pytest.approx(0.0, abs=1e-12)
    assert loss([u.flip(3)], [u]).item() > 0.1


def test_relations_are_their_formula():
    rng = np.random.default_rng(0)
    v, u = rng.normal(size=(5, 3)), rng.normal(size=(5, 8))

    def distances(e: np.ndarray) -> np.ndarray:
        found = np.array([[np.linalg.norm(a - b) for b in e] for a in e])
        return found / found[~np.eye(5, dtype=bool)].mean()

    def angles(e: np.ndarray) -> np.ndarray:
        def cosine(i: int, j: int, k: int) -> float:
            one, other = e[i] - e[j], e[k] - e[j]
            return 0.0 if j in (i, k) else one @ other / np.linalg.norm(one) / np.linalg.norm(other)

        return np.array([cosine(i, j, k) for j, i, k in itertools.product(range(5), repeat=3)])

    expected = 25 * _huber(distances(v) - distances(u)) + 50 * _huber(angles(v) - angles(u))
    loss = Relational([_pair((3,), (8,))])
    assert loss([torch.from_numpy(v)], [torch.from_numpy(u)]).item() == pytest.approx(expected)


def test_relations_stay_when_all_samples_are_turned_moved_and_scaled_together():
    u = torch.from_numpy(np.random.default_rng(0).normal(size=(7, 4)))
    turn = torch.linalg.qr(torch.from_numpy(np.random.default_rng(1).normal(size=(4, 4))))[0]
    loss = Relational([_pair((4,), (4,))])
    assert loss([3 * u @ turn + 5], [u]).item() == pytest.approx(0.0, abs=1e-10)
    assert loss([u[[1, 0, 2, 3, 4, 5, 6]]], [u]).item() > 0.01


def test_relations_of_a_large_batch_are_those_of_its_first_samples():
    v, u = torch.rand(200, 3), torch.rand(200, 8)
    loss = Relational([_pair((3,), (8,))])
    assert loss([v], [u]) == loss([v[:64]], [u[:64]])


@pytest.mark.parametrize("kind", FEATURES)
def test_samples_that_are_all_alike_give_a_number_and_a_gradient(kind):
    """A layer that died puts out zeros for everything."""
    v = torch.zeros(4, 3, 4, 4, requires_grad=True)
    loss = FEATURES[kind]([_pair((3, 4, 4), (3, 4, 4))])([v], [torch.rand(4, 3, 4, 4)])
    loss.backward()
    assert loss.isfinite()
    assert v.grad.isfinite().all()


@pytest.mark.parametrize("kind", FEATURES)
def test_its_parameters_are_all_that_it_learns(kind):
    assert isinstance(FEATURES[kind]([_pair((3, 4, 4), (5, 4, 4))]), nn.Module)
    assert bool(list(FEATURES[kind]([_pair((3, 4, 4), (5, 4, 4))]).parameters())) == (kind == "hints")
