"""What the figures mean, in words."""

import pytest

from workbench import Metrics
from workbench.energy import Energy
from workbench.estimates import Estimate, share_of
from workbench.latency import Calls
from workbench.machine import Machine
from workbench.metrics import Conditions, Parity, bytes_text
from workbench.process_cost import ProcessCost

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
        ((1.005, 1.01, 1.015), "no measurable change"),
        ((1.015, 1.02, 1.025), "faster"),
        ((0.985, 0.99, 0.995), "no measurable change"),
        (None, "not measured"),
    ],
)
def test_speed_changed_only_if_its_whole_interval_is_more_than_a_percent_away(speedup, verdict):
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
    assert _metrics(fixed=fixed, broken=broken, score_p=p).score_verdict == verdict


def test_the_sentences_tell_accuracy_size_and_speed():
    trial = _metrics(
        970,
        fixed=2,
        broken=12,
        score_p=0.01,
        size_bytes=250_000,
        latency=_estimate(0.9, 1.0, 1.1),
        baseline_latency=_estimate(1.9, 2.0, 2.1),
        speedup=_estimate(1.8, 2.0, 2.2),
    )
    assert trial.sentences(_metrics()) == [
        "Accuracy 97.00% against 98.00% (-1.00 points): worse; it fixes 2 and breaks 12 of 1,000 samples.",
        "The file has 250.0 kB against 1.00 MB: 4.0 times smaller.",
        "1 ms against 2 ms for 1 input on 1 thread, timed in turn: 2.00x faster [1.80x to 2.20x].",
        "The file answers as the model it was made from on 100.0% of 256 samples.",
    ]


def test_processor_time_is_told_only_of_a_noisy_machine():
    timed = {"latency": _estimate(1, 1, 1), "baseline_latency": _estimate(1, 1, 1), "speedup": _estimate(0.8, 1, 1.2)}
    timed["cpu_speedup"] = _estimate(0.9, 1.0, 1.1)
    quiet, noisy = (_metrics(noise=noise, **timed).sentences(_metrics()) for noise in (0.02, 0.5))
    assert not any("noisy" in sentence for sentence in quiet)
    assert "noisy" in noisy[-2]
    assert "no measurable change in speed (1.00x)" in quiet[-2]


def test_what_disturbed_the_timing_is_named():
    timed = {"latency": _estimate(1, 1, 1), "baseline_latency": _estimate(1, 1, 1), "speedup": _estimate(0.8, 1, 1.2)}
    where = Conditions(**QUIET, blocks=40, noise=0.3, drift=0.1, machine=Machine(others=0.6))
    said = _metrics(**timed, cpu_speedup=_estimate(0.9, 1.0, 1.1), conditions=where).sentences(_metrics())[-2]
    assert "other programs took 60% of its processors" in said
    assert "its own speed varied by 30%" in said and "the speed-up drifted by 10%" in said


def test_single_calls_and_throughput_are_told():
    timed = {"latency": _estimate(1, 2, 4), "baseline_latency": _estimate(1, 1, 1), "speedup": _estimate(0.8, 1, 1.2)}
    where = Conditions(**(QUIET | {"batch": 8}), blocks=40, noise=0.0)
    metrics = _metrics(**timed, conditions=where, calls=Calls(p50=2.0, p95=3.0, p99=5.0, count=1234))
    assert (metrics.throughput.low, metrics.throughput.value, metrics.throughput.high) == (2_000, 4_000, 8_000)
    assert (
        "Of 1,234 single calls, half took up to 2 ms, 95 % up to 3 ms and 99 % up to 5 ms; "
        "4,000 against 8,000 inputs in a second." in metrics.sentences(_metrics())
    )


def test_the_cost_of_a_process_is_told_or_why_it_is_not_known():
    cost = ProcessCost(
        cold_start=_estimate(9, 12, 20), import_ms=80, peak_bytes=70_000_000, runtime_bytes=60_000_000, starts=3
    )
    assert _metrics(process=cost).sentences(_metrics())[-2] == (
        "A fresh process has its first answer 12 ms after the import of the runtime (median of 3 starts) "
        "and takes 70.00 MB of memory at its peak, 60.00 MB of it before the file is loaded."
    )
    assert "It is gone." in _metrics(unmeasured=["It is gone."]).sentences(_metrics())


def test_the_baselines_own_calls_start_and_memory_stand_beside_them_where_they_were_taken_alike():
    def taken(times: float, place: dict) -> Metrics:
        one = _estimate(times, times, times)
        calls = Calls(p50=2 * times, p95=3 * times, p99=5 * times, count=1234)
        cost = ProcessCost(cold_start=one, import_ms=80, peak_bytes=int(70_000_000 * times), runtime_bytes=1, starts=3)
        where = Conditions(**(QUIET | place), blocks=40, noise=0.0)
        return _metrics(latency=one, baseline_latency=one, calls=calls, process=cost, conditions=where)

    trial = taken(1, {})
    said = " ".join(trial.details(taken(2, {})))
    for told in (
        "half took up to 2 ms against 4 ms, 95 % up to 3 ms against 6 ms and 99 % up to 5 ms against 10 ms",
        "first answer 1 ms against 2 ms after",
        "takes 70.00 MB against 140.00 MB of memory",
        "The baseline's calls, start and memory are those of when it was measured itself.",
    ):
        assert told in said
    for other in ({"processor": "b"}, {"version": "2"}, {"batch": 8}, {"threads": 2}):
        apart = " ".join(trial.details(taken(2, other)))
        assert "half took up to 2 ms, 95 %" in apart
        assert "first answer 1 ms after" in apart
        assert "The baseline's calls" not in apart


def test_energy_stands_beside_the_baselines_only_where_both_have_one_source():
    mine, same, other = (Energy(millijoules=m, measured=False, source=s) for m, s in ((1, "a"), (2, "a"), (3, "b")))
    assert "One input takes 1 mJ against 2 mJ by a" in _metrics(energy=mine).details(_metrics(energy=same))[-2]
    assert "One input takes 1 mJ by a" in _metrics(energy=mine).details(_metrics(energy=other))[-2]


@pytest.mark.parametrize(("measured", "end"), [(True, "."), (False, ": an estimate, not measured here.")])
def test_energy_says_whether_it_was_measured(measured, end):
    energy = Energy(millijoules=0.01234, measured=measured, source="some counter")
    assert _metrics(energy=energy).sentences(_metrics())[-2] == f"One input takes 0.0123 mJ by some counter{end}"


def test_what_an_earlier_version_stored_can_still_be_read():
    new = ("quality", "calls", "process", "unmeasured", "energy")
    kept = _metrics(latency=_estimate(1, 2, 3)).model_dump(exclude={*new})
    kept["conditions"] = {k: v for k, v in kept["conditions"].items() if k in (*QUIET, "blocks", "noise")}
    read = Metrics.model_validate(kept)
    assert (read.latency.value, read.calls, read.process, read.quality) == (2, None, None, None)
    assert read.conditions.disturbances() == []


def test_nothing_is_said_of_a_speed_that_was_not_measured():
    assert not any(" ms " in sentence for sentence in _metrics().sentences(_metrics()))


def test_a_larger_file_is_not_called_smaller():
    assert "1.50 of the size" in _metrics(size_bytes=1_500_000).sentences(_metrics())[1]


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999 B"), (1_000, "1.0 kB"), (51_200, "51.2 kB"), (1_724_320, "1.72 MB")]
)
def test_bytes_are_written_for_people(count, text):
    assert bytes_text(count) == text
