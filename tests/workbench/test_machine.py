"""What else the machine did while something was timed."""

import subprocess
import sys
import time
from collections import namedtuple

import psutil
import pytest

from workbench.machine import Machine, Watch

Times = namedtuple("Times", "user system idle iowait steal guest")


def _seen(
    monkeypatch: pytest.MonkeyPatch, spent: Times, own: float = 0.0, clocks=(3000.0, 3000.0), full=0.0
) -> Machine:
    """What a watch sees while the machine's counters rise by `spent`."""
    clock = namedtuple("Clock", "current max")
    told = iter(clocks)
    times = iter([Times(*[100.0] * 6), Times(*(100.0 + seconds for seconds in spent))])
    own_times = iter([7.0, 7.0 + own])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(times))
    monkeypatch.setattr(psutil, "cpu_freq", lambda percpu: [clock(800.0, full), clock(next(told), full)])
    monkeypatch.setattr(time, "process_time", lambda: next(own_times))
    return Watch().seen()


def test_what_others_took_is_all_that_was_busy_but_not_ours(monkeypatch):
    seen = _seen(monkeypatch, Times(user=5, system=1, idle=3, iowait=0.5, steal=0.5, guest=4), own=2.0)
    assert seen.others == pytest.approx(0.4)
    assert seen.stolen == pytest.approx(0.05)


def test_a_quiet_machine_disturbs_nothing(monkeypatch):
    seen = _seen(monkeypatch, Times(user=1, system=0, idle=9, iowait=0, steal=0, guest=0), own=1.0)
    assert (seen.others, seen.stolen) == (0.0, 0.0)
    assert seen.disturbances() == []


def test_each_disturbance_is_told():
    seen = Machine(others=0.5, stolen=0.1, slowest_clock=1800, fastest_clock=3600)
    assert seen.disturbances() == [
        "other programs took 50% of its processors",
        "the hypervisor gave 10% of them to other machines",
        "its clock fell from 3600 to 1800 MHz",
    ]


def test_a_falling_clock_is_seen(monkeypatch):
    seen = _seen(monkeypatch, Times(1, 0, 9, 0, 0, 0), own=1.0, clocks=(3600.0, 1800.0))
    assert (seen.slowest_clock, seen.fastest_clock, seen.full_clock) == (1800, 3600, None)


@pytest.mark.parametrize(("full", "told"), [(3600.0, True), (2100.0, False), (0.0, False)])
def test_a_clock_far_below_the_full_one_is_told(monkeypatch, full, told):
    seen = _seen(monkeypatch, Times(1, 0, 9, 0, 0, 0), own=1.0, clocks=(1800.0, 1800.0), full=full)
    assert seen.disturbances() == (["its clock reached 1800 of 3600 MHz only"] if told else [])


@pytest.mark.parametrize(
    ("slowed", "cpu_slowed", "clauses"),
    [
        (0.0, 0.2, []),
        (0.25, 0.0, ["the reference took 25% longer at the end than at the beginning"]),
        (-0.25, -0.25, ["the reference took 25% less at the end than at the beginning"]),
        (
            0.25,
            0.2,
            ["the reference took 25% longer at the end than at the beginning, in processor time too, as where a "
             "processor throttles"],
        ),
    ],
)  # fmt: skip
def test_a_reference_that_became_slower_is_told(slowed, cpu_slowed, clauses):
    assert Machine(slowed=slowed, cpu_slowed=cpu_slowed).disturbances() == clauses


def test_the_clock_is_not_looked_at_all_the_time(monkeypatch):
    looks = []
    monkeypatch.setattr(psutil, "cpu_freq", lambda percpu: looks.append(percpu))
    watch = Watch()
    for _ in range(1_000):
        watch.look()
    assert len(looks) <= 10


@pytest.mark.parametrize("answer", [None, NotImplementedError(), FileNotFoundError()])
def test_a_machine_that_does_not_tell_its_clock_is_watched_all_the_same(monkeypatch, answer):
    def frequency(percpu):
        if answer is None:
            return None
        raise answer

    monkeypatch.setattr(psutil, "cpu_freq", frequency)
    assert Watch().seen().slowest_clock is None


def test_a_process_that_spins_is_seen():
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        watch = Watch()
        time.sleep(0.5)
        assert watch.seen().others > 0.2 / psutil.cpu_count()
    finally:
        other.kill()
        other.wait()
