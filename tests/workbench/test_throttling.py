"""A machine that becomes slower while it is timed is told from one that is only noisy."""

import numpy as np
import pytest

from workbench.throttling import slowed

RANDOM = np.random.default_rng(0)
NOISE = np.exp(0.05 * RANDOM.normal(size=90))
STEPS = np.arange(90) / 89


@pytest.mark.parametrize(
    ("times", "change"),
    [
        (1 + 0.5 * STEPS, 0.31),  # growing hot, little by little
        (np.where(STEPS < 0.5, 1.0, 1.3), 0.3),  # at once
        (np.where(STEPS < 0.5, 1.5, 1.0), -1 / 3),  # waking up
    ],
    ids=["slowly", "at once", "faster"],
)
@pytest.mark.parametrize("noise", [1.0, NOISE], ids=["steady", "noisy"])
def test_a_change_of_speed_is_seen_with_its_size(times, change, noise):
    assert slowed(0.01 * times * noise) == pytest.approx(change, abs=0.06)


@pytest.mark.parametrize(
    "times",
    [
        np.ones(90),
        NOISE,
        1 + 0.05 * STEPS,  # less than is worth telling
        np.where(np.arange(90) % 7 == 0, 5.0, 1.0),  # bursts, all along
        np.where((STEPS > 0.4) & (STEPS < 0.6), 3.0, 1.0),  # one burst in the middle
        np.where(np.arange(90) == 89, 50.0, 1.0),  # one slow block at the end
        np.linspace(1, 9, 11),  # too few
    ],
    ids=["steady", "noisy", "a little", "bursts", "middle", "one", "few"],
)
def test_noise_without_a_direction_is_not_called_a_change(times):
    assert slowed(times) == 0.0


def test_noise_alone_is_rarely_taken_for_a_change():
    found = [slowed(np.exp(0.3 * RANDOM.normal(size=36))) for _ in range(500)]
    assert sum(change != 0 for change in found) < 0.04 * len(found)
