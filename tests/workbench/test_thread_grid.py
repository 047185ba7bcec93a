"""A grid of threads and batches: every setting measured against the baseline, impossible ones refused."""

import pytest

from workbench import Cancelled, WorkbenchError
from workbench.carry_out import processors


def test_every_setting_is_measured_against_the_baseline(study):
    told = []
    counts = sorted({1, processors()})
    found = study.grid(1, threads=counts, batches=[8, 1], on_progress=told.append)
    assert [(cell.threads, cell.batch) for cell in found.cells] == [(t, b) for t in counts for b in (1, 8)]
    for cell in found.cells:
        assert cell.speedup.low <= cell.speedup.value <= cell.speedup.high
        assert cell.throughput == pytest.approx(cell.batch / cell.latency.value * 1e3)
    assert len(told) == len(found.cells) + 1
    said = found.sentences()
    assert said[0].startswith("A call is fastest with ")
    assert said[1].startswith("Most inputs go through with ")
    assert all("the baseline's speed" in line for line in said[2:])


def test_the_baseline_is_compared_with_nothing(study):
    assert "the baseline's speed" not in repr(study.grid(0, threads=[1], batches=[2]))


@pytest.mark.parametrize(("threads", "batches"), [([0], [1]), ([1], [0]), ([], [1]), ([10_000], [1]), ([1], [1.5])])
def test_settings_that_make_no_sense_are_refused(threads, batches, study):
    with pytest.raises(WorkbenchError, match="A grid can't be of"):
        study.grid(1, threads=threads, batches=batches)


def test_it_stops_when_asked(study):
    def stop(facts: dict) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        study.grid(1, threads=[1], batches=[1], on_progress=stop)
