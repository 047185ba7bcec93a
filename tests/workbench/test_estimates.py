"""Intervals: they contain what they are about, as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.estimates import Estimate, median_of, over_loads, over_time, share_of


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


def _autoregressive(random: np.random.Generator, count: int, memory: float) -> np.ndarray:
    """AR(1) noise of unit variance."""
    noise = random.normal(size=count) * np.sqrt(1 - memory**2)
    noise[0] = random.normal()
    for index in range(1, count):
        noise[index] += memory * noise[index - 1]
    return noise


def _switching(random: np.random.Generator, count: int, stay: float) -> np.ndarray:
    """A machine that is now quiet and now busy, for so many blocks each on the average."""
    busy = (np.cumsum(random.random(count) < 1 / stay) + random.integers(2)) % 2
    return 2.0 * busy - 1 + 0.7 * random.normal(size=count)


@pytest.mark.parametrize(
    ("noise", "least"),
    [
        (lambda random, count: random.normal(size=count), 0.94),
        (lambda random, count: random.standard_t(3, size=count), 0.94),
        (lambda random, count: _autoregressive(random, count, 0.5), 0.94),
        (lambda random, count: _autoregressive(random, count, 0.8), 0.94),
        (lambda random, count: _autoregressive(random, count, 0.95), 0.9),
        (lambda random, count: _switching(random, count, 5), 0.9),
    ],
    ids=["independent", "heavy tails", "AR 0.5", "AR 0.8", "AR 0.95", "two states"],
)
def test_the_interval_holds_the_truth_though_the_noise_has_a_memory(noise, least):
    random = np.random.default_rng(0)
    runs = [2 * np.exp(0.03 * noise(random, 120)) for _ in range(200)]
    estimates = [over_time(run)[0] for run in runs]
    assert np.mean([e.low <= 2 <= e.high for e in estimates]) >= least


def test_the_interval_that_takes_blocks_as_independent_does_not():
    random = np.random.default_rng(0)
    runs = [np.exp(0.03 * _autoregressive(random, 120, 0.8)) for _ in range(200)]
    assert np.mean([m.low <= 1 <= m.high for m in map(median_of, runs)]) < 0.7


def test_without_drift_none_is_found_and_the_interval_is_narrow():
    random = np.random.default_rng(0)
    found = [over_time(np.exp(0.03 * random.normal(size=120))) for _ in range(200)]
    assert np.median([drift for _, drift in found]) < 0.006  # a fifth of the noise of one figure
    # batch means alone would reach 2.2 x 1.25 x 0.03 / sqrt(120) to both sides
    assert np.median([estimate.half_width for estimate, _ in found]) < 2 * 0.0075


def test_drift_is_told_apart_from_noise_within_a_round():
    random = np.random.default_rng(0)
    steps = np.repeat(0.1 * random.normal(size=12), 20)
    _, drift = over_time(np.exp(steps + 0.01 * random.normal(size=240)))
    assert drift == pytest.approx(steps.std(ddof=1), rel=0.1)


@given(st.lists(st.floats(1e-6, 1e6), min_size=8, max_size=60))
def test_whatever_the_figures_the_typical_one_lies_among_them_and_within_its_interval(values):
    estimate, drift = over_time(np.array(values))
    slack = 1 + 1e-9
    assert min(values) / slack <= estimate.value <= max(values) * slack
    assert estimate.low <= estimate.value <= estimate.high
    assert drift >= 0


def test_the_typical_one_of_ratios_is_the_same_seen_from_both_sides():
    values = np.random.default_rng(0).lognormal(size=48)
    one, other = over_time(values)[0], over_time(1 / values)[0]
    assert (1 / other.value, 1 / other.high, 1 / other.low) == pytest.approx((one.value, one.low, one.high))


def test_figures_of_several_loads_are_moved_to_their_mean():
    values = 2.0 * np.array([1.0, 1.1, 1.2])[np.arange(30) % 3]
    found, reach, spread = over_loads(values, np.arange(30) % 3, spread=0.01)
    assert found == pytest.approx(np.full(30, 2.0 * (1.0 * 1.1 * 1.2) ** (1 / 3)))
    own = np.log([1.0, 1.1, 1.2]).std(ddof=1)
    assert spread == pytest.approx(np.sqrt((4 * 0.01**2 + 2 * own**2) / 6))
    assert reach == pytest.approx(2.4469 * spread / np.sqrt(3), rel=1e-3)  # t of six degrees of freedom


def test_four_loads_that_differ_more_than_is_usual_count_alone():
    values = np.array([1.0, 1.1, 1.2, 1.3])[np.arange(40) % 4]
    _, reach, _ = over_loads(values, np.arange(40) % 4, spread=0.01)
    own = np.log([1.0, 1.1, 1.2, 1.3]).std(ddof=1)
    assert reach == pytest.approx(3.1824 * own / 2, rel=1e-3)  # t of three degrees of freedom


def test_of_one_load_nothing_is_known_but_what_is_usual():
    values = np.array([1.0, 1.1, 0.9, 1.0])
    found, reach, spread = over_loads(values, np.zeros(4, int), spread=0.01)
    assert found == pytest.approx(values) and spread == pytest.approx(0.01)
    assert reach == pytest.approx(2.7764 * 0.01, rel=1e-3)


@pytest.mark.parametrize("truth", [0.002, 0.01, 0.03])
def test_the_mean_of_some_loads_is_held_as_often_as_is_said(truth):
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        logs = truth * random.normal(size=6)
        _, reach, _ = over_loads(np.exp(np.tile(logs, 5)), np.tile(np.arange(6), 5), spread=0.01)
        held += abs(logs.mean()) <= reach
    assert held >= 0.93 * 400
