"""A grid of threads and batches: every setting measured against the baseline, impossible ones refused."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from workbench import Cancelled, Prune, Recipe, Study, WorkbenchError
from workbench.carry_out import processors
from workbench.estimates import Estimate
from workbench.machine import Machine
from workbench.runtimes import RUNTIMES
from workbench.thread_grid import Cell, Grid, Lead, grid

QUIET, BUSY = Machine(), Machine(others=0.6)


def estimate(value: float, width: float = 0.1) -> Estimate:
    return Estimate(value=value, low=value * (1 - width), high=value * (1 + width))


def cell(threads: int, batch: int, ms: float, machine: Machine = QUIET) -> Cell:
    return Cell(threads, batch, estimate(ms), estimate(2.0), machine)


def timed_in_turn(monkeypatch, ms: dict[int, float], in_turn: dict[tuple[int, int], float], machine=QUIET) -> Grid:
    """A grid of one thread whose timings are these: by batch, and of one batch against another the ratio of times."""

    def paired(first, second, **options) -> SimpleNamespace:
        one, two = (len(run.args[0]) for run in (first, second))
        ratio = in_turn[one, two] if one != two else 2.0
        return SimpleNamespace(second=estimate(ms[two]), speedup=estimate(ratio), machine=machine)

    monkeypatch.setattr("workbench.thread_grid.paired", paired)
    file = (SimpleNamespace(title="A", load=lambda *_: lambda inputs: inputs), Path(__file__))
    return grid(file, file, lambda count: np.zeros((count, 1)), [1], sorted(ms), reference="the baseline's speed")


def test_every_setting_is_measured_against_the_baseline(study):
    told = []
    counts = sorted({1, processors()})
    found = study.grid(1, threads=counts, batches=[8, 1], on_progress=told.append)
    assert [(cell.threads, cell.batch) for cell in found.cells] == [(t, b) for t in counts for b in (1, 8)]
    for cell in found.cells:
        assert cell.speedup.low <= cell.speedup.value <= cell.speedup.high
        assert cell.throughput == pytest.approx(cell.batch / cell.latency.value * 1e3)
    assert [facts["share"] for facts in told] == sorted(facts["share"] for facts in told)
    assert told[-1]["share"] == 1.0
    for lead in (found.quick, found.many):
        assert lead.best in found.cells and lead.second in found.cells and lead.best != lead.second
        assert lead.ratio.low <= lead.ratio.value <= lead.ratio.high and lead.ratio.value >= 1
    said = found.sentences()
    assert len(said[-len(found.cells) :]) == len(found.cells)
    for cell, line in zip(found.cells, said[-len(found.cells) :], strict=True):
        assert line.startswith(f"{cell.threads} thread{'s' * (cell.threads > 1)} and batch {cell.batch}: ")
        assert line.endswith(
            f"{cell.speedup.value:.2f}x [{cell.speedup.low:.2f}, {cell.speedup.high:.2f}] the baseline's speed"
        )


def test_what_is_best_is_said_as_it_came_out_in_turn(monkeypatch):
    found = timed_in_turn(monkeypatch, {1: 1.0, 4: 2.0, 16: 9.0}, {(4, 1): 1.9, (16, 4): 5.0})
    assert found.sentences()[:2] == [
        "A call is fastest with 1 thread and batch 1: 1 ms in A, 1.90x [1.71, 2.09] as fast as with 1 thread and "
        "batch 4, timed in turn.",
        "Most inputs go through with 1 thread and batch 4: 2,000 in a second, 1.25x [1.12, 1.38] as many as with "
        "1 thread and batch 16, timed in turn.",
    ]


def test_separate_figures_that_the_direct_comparison_turns_round_do_not_win(monkeypatch):
    found = timed_in_turn(monkeypatch, {1: 1.0, 2: 0.95}, {(1, 2): 0.5, (1, 1): 1.0})
    assert (found.quick.best.batch, found.quick.second.batch) == (1, 2)
    assert found.quick.ratio.value == pytest.approx(2.0)
    assert "A call is fastest with 1 thread and batch 1" in found.sentences()[0]


def test_two_that_cannot_be_told_apart_are_not_ranked(monkeypatch):
    found = timed_in_turn(monkeypatch, {1: 1.0, 2: 0.95}, {(1, 2): 1.05})
    assert found.sentences()[0] == (
        "Between 1 thread and batch 2 and 1 thread and batch 1 there is no measurable difference in how fast a call "
        "is: 1.05x [0.95, 1.16]."
    )
    assert "fastest" not in " ".join(found.sentences())
    assert found.sentences()[1].startswith("Most inputs go through with 1 thread and batch 2: 2,105 in a second, 2.10x")


def test_what_disturbed_a_timing_is_said():
    alone = Grid([cell(1, 1, 1.0)], *[Lead(cell(1, 1, 1.0))] * 2, runtime="A")
    assert not any("not quiet" in line for line in alone.sentences())
    cells = [cell(1, 1, 1.0, BUSY), cell(2, 1, 2.0)]
    disturbed = Grid(cells, Lead(*cells, estimate(2.0), BUSY), Lead(*cells, estimate(2.0), BUSY))
    assert [line for line in disturbed.sentences() if "not quiet" in line] == [
        "The machine was not quiet while 1 thread and batch 1 was timed: other programs took 60% of its processors.",
        "The machine was not quiet while the best settings were timed in turn: other programs took 60% of its "
        "processors.",
    ]
    assert len(disturbed.answer().sentences) == 4 and len(disturbed.answer().table) == 2


def test_a_single_setting_is_compared_with_no_other(study):
    found = study.grid(1, threads=[1], batches=[2])
    assert found.quick == found.many == Lead(found.cells[0])
    assert "as fast as" not in repr(found) and "measurable difference" not in repr(found)


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


@pytest.mark.parametrize("name", ["torch", "onnxruntime"])
def test_any_runtime_that_can_run_the_trial_has_a_grid(name, few_digits, tmp_path):
    study = Study("lenet5", few_digits, runtime="torch", path=tmp_path / "study")
    pruned = study.run(Recipe([Prune(ratio=0.5)]))
    found = study.grid(pruned, threads=[1], batches=[1, 4], runtime=name)
    assert found.runtime == RUNTIMES[name].title
    assert [cell.batch for cell in found.cells] == [1, 4]
    assert all(line.endswith("the baseline's speed") for line in found.sentences()[-2:]), "which is run there too"


@pytest.mark.parametrize("runtime", [RUNTIMES["openvino"]], ids=["openvino"])
def test_integers_have_a_grid_where_they_stay_integers(runtime, study):
    assert study.grid(1, threads=[1], batches=[1], runtime=runtime.name).runtime == runtime.title


def test_a_runtime_that_would_change_the_trial_or_is_unknown_is_refused(study):
    with pytest.raises(WorkbenchError, match="no kernels for the integers of this trial"):
        study.grid(1, threads=[1], batches=[1], runtime="torch")
    with pytest.raises(WorkbenchError, match="no runtime called 'onnx'"):
        study.grid(1, threads=[1], batches=[1], runtime="onnx")
