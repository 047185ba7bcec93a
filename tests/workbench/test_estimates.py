"""Intervals: they contain what they are about, as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.estimates import Estimate, median_of, share_of


@given(st.integers(1, 100_000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_a_share_lies_within_its_interval_and_the_interval_within_0_and_1(case):
    right, count = case
    share = share_of(right, count)
    assert 0 <= share.low <= share.value <= share.high <= 1
    assert share.value == right / count


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_of_a_share_is_wilsons(right, count, low, high):
    share = share_of(right, count)
    assert (round(share.low, 4), round(share.high, 4)) == (low, high)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60))
def test_a_median_lies_within_its_interval(values):
    median = median_of(np.array(values))
    assert min(values) <= median.low <= median.value <= median.high <= max(values)


@pytest.mark.parametrize(("count", "rank"), [(6, 0), (10, 1), (20, 5), (40, 13)])
def test_the_interval_of_a_median_is_that_of_the_tables(count, rank):
    # the tables of the sign test: for 40 values, from the 14th smallest to the 14th largest
    median = median_of(np.random.default_rng(0).permutation(count))
    assert (median.low, median.high) == (rank, count - 1 - rank)


@pytest.mark.parametrize("count", [11, 40])
def test_the_interval_of_a_median_holds_the_true_median_95_times_of_100(count):
    samples = np.random.default_rng(0).lognormal(size=(2_000, count))  # skewed, as latencies are: the median is 1
    held = sum(m.low <= 1 <= m.high for m in map(median_of, samples))
    assert held / len(samples) > 0.94


def test_an_estimate_reads_as_a_figure_with_its_interval():
    estimate = Estimate(value=0.98765, low=0.98, high=0.99)
    assert (float(estimate), str(estimate)) == (0.98765, "0.9877 [0.98, 0.99]")
