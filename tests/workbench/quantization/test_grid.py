"""A grid: so many values, exact in both directions, per tensor, channel or block."""

import pytest
import torch

from workbench.quantization.grid import Grid

BITS = (1, 2, 3, 4, 6, 8, 16)
SCALES = {"tensor": torch.tensor(0.013), "channel": torch.rand(6) + 0.01, "block": torch.rand(6, 4) + 0.01}


@pytest.fixture
def weight() -> torch.Tensor:
    return torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("granularity", SCALES)
def test_what_was_rounded_lies_on_it_and_has_few_values(bits, granularity, weight):
    grid = Grid(SCALES[granularity], bits, block=8 if granularity == "block" else 0)
    rounded = grid.nearest(weight)
    assert grid.holds(rounded) and not grid.holds(weight)
    assert torch.equal(grid.values(grid.codes(rounded)), rounded)
    assert len(grid.codes(rounded).unique()) <= 2**bits
    assert grid.codes(rounded).min() >= grid.low and grid.codes(rounded).max() <= grid.high


@pytest.mark.parametrize(
    ("bits", "low", "high"), [(1, -1, 1), (2, -2, 1), (4, -8, 7), (7, -64, 63), (8, -127, 127), (16, -32767, 32767)]
)
def test_its_codes_are_signed(bits, low, high):
    grid = Grid(torch.tensor(1.0), bits)
    assert (grid.low, grid.high) == (low, high)
    expected = [-1, 1] if bits == 1 else [low, high]
    assert grid.codes(torch.tensor([-1e6, 1e6])).tolist() == expected


def test_each_value_goes_to_the_nearest_code():
    grid = Grid(torch.tensor(0.5), 4)
    assert grid.codes(torch.tensor([0.0, 0.24, 0.26, -0.74, -0.76, 9.0])).tolist() == [0, 0, 1, -1, -2, 7]


def test_one_bit_has_no_zero():
    assert Grid(torch.tensor(0.2), 1).nearest(torch.tensor([0.0, -1e-9, 3.0])).tolist() == pytest.approx(
        [0.2, -0.2, 0.2]
    )


def test_unsigned_codes_start_at_zero_and_hold_zero_exactly():
    grid = Grid(torch.tensor(0.1), 8, zero_point=10, signed=False)
    assert grid.codes(torch.tensor([-5.0, 0.0, 0.1, 99.0])).tolist() == [0, 10, 11, 255]
    assert grid.nearest(torch.zeros(3)).tolist() == [0, 0, 0]


def test_blocks_are_of_consecutive_inputs_and_the_last_may_be_short():
    grid = Grid(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 4, block=3)
    assert grid.values(torch.ones(2, 5, dtype=torch.int32)).tolist() == [[1, 1, 1, 2, 2], [3, 3, 3, 4, 4]]


def test_it_fits_only_tensors_of_its_shape(weight):
    assert Grid(torch.ones(6), 4).fits(weight)
    assert not Grid(torch.ones(5), 4).fits(weight)
    assert not Grid(torch.ones(6, 3), 4, block=8).fits(weight)
    assert not Grid(torch.ones(5), 4).holds(weight)
