"""A grid of threads and batches: every setting measured against the baseline, impossible ones refused."""

import pytest

from workbench import Cancelled, Prune, Recipe, Study, WorkbenchError
from workbench.carry_out import processors
from workbench.runtimes import RUNTIMES


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


@pytest.mark.parametrize("name", ["torch", "onnxruntime"])
def test_any_runtime_that_can_run_the_trial_has_a_grid(name, few_digits, tmp_path):
    study = Study("lenet5", few_digits, runtime="torch", path=tmp_path / "study")
    pruned = study.run(Recipe([Prune(ratio=0.5)]))
    found = study.grid(pruned, threads=[1], batches=[1, 4], runtime=name)
    assert found.runtime == RUNTIMES[name].title
    assert [cell.batch for cell in found.cells] == [1, 4]
    assert found.sentences()[0].endswith(f"run by {RUNTIMES[name].title}.")
    assert all("the baseline's speed" in line for line in found.sentences()[2:]), "which is run there too"


@pytest.mark.parametrize("runtime", [RUNTIMES["openvino"]], ids=["openvino"])
def test_integers_have_a_grid_where_they_stay_integers(runtime, study):
    assert study.grid(1, threads=[1], batches=[1], runtime=runtime.name).runtime == runtime.title


def test_a_runtime_that_would_change_the_trial_or_is_unknown_is_refused(study):
    with pytest.raises(WorkbenchError, match="no kernels for the integers of this trial"):
        study.grid(1, threads=[1], batches=[1], runtime="torch")
    with pytest.raises(WorkbenchError, match="no runtime called 'onnx'"):
        study.grid(1, threads=[1], batches=[1], runtime="onnx")
