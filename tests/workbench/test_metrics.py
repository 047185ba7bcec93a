"""What the figures mean, in words."""

import pytest

from workbench import Metrics
from workbench.estimates import Estimate, share_of
from workbench.metrics import Conditions, Parity, bytes_text

PARITY = Parity(samples=256, largest_difference=0.0, same_answers=1.0)
QUIET = {"runtime": "onnxruntime", "version": "1", "device": "cpu", "processor": "a", "threads": 1, "batch": 1}


def _metrics(right: int = 980, noise: float = 0.02, **facts) -> Metrics:
    common = {"split": "validation", "samples": 1_000, "size_bytes": 1_000_000, "theoretical_bytes": 1_000_000}
    common |= {"macs": 1, "parameters": 1, "nonzero_parameters": 1, "parity": PARITY}
    common["conditions"] = Conditions(**QUIET, blocks=40, noise=noise)
    return Metrics(accuracy=share_of(right, 1_000), **(common | facts))


def _estimate(low: float, value: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high)


@pytest.mark.parametrize(
    ("speedup", "verdict"),
    [
        ((1.1, 1.5, 1.9), "faster"),
        ((0.5, 0.6, 0.9), "slower"),
        ((0.9, 1.2, 1.5), "no measurable change"),
        ((1.0, 1.2, 1.5), "no measurable change"),
        (None, "not measured"),
    ],
)
def test_speed_changed_only_if_its_interval_leaves_out_1(speedup, verdict):
    assert _metrics(speedup=_estimate(*speedup) if speedup else None).verdict == verdict


@pytest.mark.parametrize(
    ("fixed", "broken", "p", "verdict"),
    [
        (0, 0, 1.0, "no evidence of a change"),
        (2, 0, 0.5, "no evidence of a change"),
        (12, 3, 0.0352, "better"),
        (3, 12, 0.0352, "worse"),
    ],
)
def test_accuracy_changed_only_if_mcnemars_test_says_so(fixed, broken, p, verdict):
    assert _metrics(fixed=fixed, broken=broken, accuracy_p=p).accuracy_verdict == verdict


def test_the_sentences_tell_accuracy_size_and_speed():
    trial = _metrics(
        970,
        fixed=2,
        broken=12,
        accuracy_p=0.01,
        size_bytes=250_000,
        latency=_estimate(0.9, 1.0, 1.1),
        baseline_latency=_estimate(1.9, 2.0, 2.1),
        speedup=_estimate(1.8, 2.0, 2.2),
    )
    assert trial.sentences(_metrics()) == [
        "Accuracy 97.00% against 98.00% (-1.00 points): worse; it fixes 2 and breaks 12 of 1,000 samples.",
        "The file has 250.0 kB against 1.00 MB: 4.0 times smaller.",
        "1 ms against 2 ms for 1 input on 1 thread: 2.00x faster [1.80x to 2.20x].",
        "The file answers as the model it was made from on 100.0% of 256 samples.",
    ]


def test_processor_time_is_told_only_of_a_noisy_machine():
    timed = {"latency": _estimate(1, 1, 1), "baseline_latency": _estimate(1, 1, 1), "speedup": _estimate(0.8, 1, 1.2)}
    timed["cpu_speedup"] = _estimate(0.9, 1.0, 1.1)
    quiet, noisy = (_metrics(noise=noise, **timed).sentences(_metrics()) for noise in (0.02, 0.5))
    assert not any("noisy" in sentence for sentence in quiet)
    assert "noisy" in noisy[-2]
    assert "no measurable change in speed (1.00x)" in quiet[-2]


def test_nothing_is_said_of_a_speed_that_was_not_measured():
    assert not any(" ms " in sentence for sentence in _metrics().sentences(_metrics()))


def test_a_larger_file_is_not_called_smaller():
    assert "1.50 of the size" in _metrics(size_bytes=1_500_000).sentences(_metrics())[1]


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999 B"), (1_000, "1.0 kB"), (51_200, "51.2 kB"), (1_724_320, "1.72 MB")]
)
def test_bytes_are_written_for_people(count, text):
    assert bytes_text(count) == text
