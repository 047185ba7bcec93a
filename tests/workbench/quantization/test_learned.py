"""Fake quantization that learns: LSQ's gradients by the paper's formulas, binary and ternary weights by theirs."""

import pytest
import torch
from torch import Tensor

from workbench.quantization.binary import BinaryGrid
from workbench.quantization.grid import Grid
from workbench.quantization.grids import weight_grid
from workbench.quantization.learned import LearnedGrid, learned_step
from workbench.quantization.ternary import TernaryGrid, ternary


@pytest.fixture
def weight() -> Tensor:
    return torch.randn(4, 30, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("signed", [True, False])
def test_the_scales_gradient_is_that_of_the_paper(bits, signed):
    scale = torch.tensor(0.3, requires_grad=True)
    grid = Grid(scale.detach(), bits, signed=signed)
    for value in (-100.0, -0.4, -0.1, 0.05, 0.2, 0.31, 100.0):
        v = torch.tensor(value, requires_grad=True)
        scale.grad = None
        learned_step(v, scale, grid).backward()
        steps = value / 0.3
        if steps <= grid.low or steps >= grid.high:
            assert scale.grad.item() == pytest.approx(grid.low if steps <= grid.low else grid.high)
            assert v.grad.item() == 0
        else:
            assert scale.grad.item() == pytest.approx(round(steps) - steps, abs=1e-5)
            assert v.grad.item() == 1


def test_one_step_of_plain_descent_moves_the_scale_as_the_paper_has_it(weight):
    start = weight_grid(weight, 4, granularity="tensor")
    way = LearnedGrid(start, share=weight.numel())
    (way(weight) * weight.cos()).sum().backward()
    torch.optim.SGD([way.ratio], lr=0.1).step()

    scale = start.scale.clone().requires_grad_()
    (learned_step(weight, scale, start) * weight.cos()).sum().backward()
    g = 1 / (weight.numel() * 7) ** 0.5
    assert way.scale.item() == pytest.approx((start.scale - 0.1 * g * scale.grad).item(), rel=1e-4)


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_what_it_gives_lies_on_the_grid_that_it_tells(bits, granularity, weight):
    way = LearnedGrid(weight_grid(weight, bits, granularity=granularity), share=30)
    with torch.no_grad():
        way.ratio.mul_(0.83)
    assert way.grid.holds(way(weight).detach())
    assert torch.equal(way.latent, weight)


def test_learning_the_scale_lowers_the_error():
    weight = torch.randn(1, 500, generator=torch.Generator().manual_seed(2))
    way = LearnedGrid(Grid(torch.tensor([1.7]), 2), share=500)
    optimizer = torch.optim.Adam(way.parameters(), lr=0.01)
    errors = []
    for _ in range(150):
        loss = ((way(weight) - weight) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    assert errors[-1] < 0.8 * errors[0]


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_binary_weights_are_signs_times_the_mean_magnitude(granularity, weight):
    way = BinaryGrid(weight_grid(weight, 1, granularity=granularity))
    rounded = way(weight)
    alpha = weight.abs().mean() if granularity == "tensor" else weight.abs().mean(1, keepdim=True)
    assert torch.allclose(rounded, weight.sign() * alpha)
    assert way.grid.holds(rounded)


def test_the_gradient_of_binary_weights_is_that_of_xnor_net(weight):
    weight.requires_grad_()
    upstream = torch.rand(weight.shape, generator=torch.Generator().manual_seed(3))
    BinaryGrid(weight_grid(weight, 1))(weight).backward(upstream)
    w = weight.detach()
    alpha, inside = w.abs().mean(1, keepdim=True), w.abs() <= 1
    # equation 9, before it is simplified: through the scale (1/n), and straight through the sign
    by_scale = (upstream * w.sign()).sum(1, keepdim=True) * w.sign() / w.shape[1]
    assert torch.allclose(weight.grad, by_scale + upstream * alpha * inside, atol=1e-6)


def test_ternary_weights_are_those_of_twn(weight):
    codes, grid = ternary(weight)
    for row, code, scale in zip(weight, codes, grid.scale, strict=True):
        kept = row.abs() > 0.7 * row.abs().mean()
        assert torch.equal(code, row.sign() * kept)
        assert scale.item() == pytest.approx(row[kept].abs().mean().item())
    assert grid.holds(grid.values(codes))
    assert codes.unique().tolist() == [-1, 0, 1]


def test_ternary_weights_learn_straight_through(weight):
    weight.requires_grad_()
    way = TernaryGrid(ternary(weight)[1])
    rounded = way(weight)
    rounded.sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))
    assert way.grid.holds(rounded.detach())


def test_a_weight_of_zeros_stays_zero():
    zeros = torch.zeros(3, 8)
    assert not TernaryGrid(ternary(zeros)[1])(zeros).any()
    assert not LearnedGrid(weight_grid(zeros, 4), share=8)(zeros).any()
