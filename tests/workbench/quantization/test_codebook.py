"""Shared values: k-means on the line, and training that moves them together."""

from contextlib import ExitStack

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.vq import kmeans2
from torch import nn

from workbench.constraints import KeepZeros
from workbench.quantization.codebook import SharedValues, codebook, share

INITS = ["linear", "density", "random"]


def loss(values: np.ndarray, centroids: np.ndarray) -> float:
    """The mean squared distance to the nearest centroid."""
    return float(((values[:, None] - centroids) ** 2).min(axis=1).mean())


def test_it_finds_the_centroids_that_scipy_finds_from_the_same_start():
    values = np.random.default_rng(0).normal(size=500)
    start = np.linspace(values.min(), values.max(), 8)
    theirs, _ = kmeans2(values[:, None], start[:, None], iter=300, minit="matrix")
    assert np.allclose(codebook(values, 8, "linear"), np.sort(theirs.ravel()), atol=1e-9)


@settings(max_examples=40)
@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=60),
    st.integers(1, 16),
    st.sampled_from(INITS),
    st.integers(0, 5),
)
def test_every_centroid_is_the_mean_of_the_values_nearest_to_it(values, size, init, seed):
    values = np.float64(values)
    centroids = codebook(values, size, init, seed)
    assert 1 <= len(centroids) <= size
    nearest = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
    means = [values[nearest == index].mean() for index in range(len(centroids))]
    assert np.allclose(centroids, means, atol=1e-6)


@pytest.mark.parametrize("init", INITS)
def test_more_centroids_are_nearer(init):
    values = np.random.default_rng(1).laplace(size=2000)
    losses = [loss(values, codebook(values, size, init)) for size in (2, 4, 8, 16)]
    assert losses == sorted(losses, reverse=True)


def test_linear_centroids_reach_the_few_large_values_and_density_the_many_small():
    values = np.concatenate([np.random.default_rng(2).normal(0, 0.01, 1000), [5.0, 5.1]])
    linear, density = codebook(values, 4, "linear"), codebook(values, 4, "density")
    assert linear.max() == pytest.approx(5.05)
    assert (abs(linear) < 1).sum() < (abs(density) < 1).sum()


def test_chance_is_seeded():
    values = np.random.default_rng(3).normal(size=300)
    assert np.array_equal(codebook(values, 8, "random", 1), codebook(values, 8, "random", 1))
    assert not np.array_equal(codebook(values, 8, "random", 1), codebook(values, 8, "random", 2))


def test_zeros_stay_and_do_not_count_as_a_value():
    weight = torch.where(torch.rand(20, 30) < 0.7, torch.tensor(0.0), torch.randn(20, 30))
    shared = share(weight, 4, "linear")
    assert torch.equal(shared == 0, weight == 0)
    assert 1 <= len(shared[shared != 0].unique()) <= 4


def test_few_values_are_left_as_they_are():
    weight = torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, -0.5]])
    assert torch.equal(share(weight, 3, "linear"), weight)
    assert torch.equal(share(torch.zeros(3, 3), 2, "linear"), torch.zeros(3, 3))


def test_a_shared_value_moves_by_the_sum_of_the_gradients_of_its_weights():
    layer = nn.Linear(3, 2, bias=False)
    before = torch.tensor([[1.0, 2.0, 0.0], [2.0, 1.0, 2.0]])
    with torch.no_grad():
        layer.weight.copy_(before)
    pull = torch.tensor([[1.0, 10.0, 5.0], [20.0, 2.0, 30.0]])  # the gradient of each weight
    with SharedValues(["weight"]).held(layer):
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
        (layer.weight * pull).sum().backward()
        optimizer.step()
    ones, twos = 1 - 0.01 * (1 + 2), 2 - 0.01 * (10 + 20 + 30)
    assert torch.allclose(layer.weight, torch.tensor([[ones, twos, 0.0], [twos, ones, twos]]))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("order", [1, -1], ids=["zeros first", "shared first"])
def test_training_keeps_them_shared_whatever_else_is_laid_on(lenet5, optimizer, order):
    names = ["conv2.weight", "fc1.weight"]
    for name in names:
        weight = lenet5.get_parameter(name)
        with torch.no_grad():
            weight.copy_(share(torch.where(weight.abs() < 0.03, 0.0, weight), 8, "linear"))
    before = {name: parameter.detach().clone() for name, parameter in lenet5.named_parameters()}
    with ExitStack() as stack:
        for constraint in [KeepZeros(names), SharedValues([*names, "no.such.weight"])][::order]:
            stack.enter_context(constraint.held(lenet5))
        updates = optimizer(lenet5.parameters(), lr=0.01, weight_decay=0.01)
        for _ in range(3):
            updates.zero_grad()
            lenet5(torch.rand(4, 1, 28, 28)).square().sum().backward()
            updates.step()
    assert set(before) == set(dict(lenet5.named_parameters()))
    for name in names:
        after = lenet5.get_parameter(name).detach()
        assert torch.equal(after == 0, before[name] == 0)
        assert (after != before[name]).sum() > 0.9 * after.count_nonzero()
        pairs = torch.stack([before[name].flatten(), after.flatten()]).unique(dim=1)
        assert pairs.shape[1] == len(before[name].unique()), "what was equal is equal"
