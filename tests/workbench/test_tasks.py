"""A task is seen by every page: while it runs, when it ended, and when its process is gone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench import Cancelled, Dataset, Study, WorkbenchError
from workbench.questions import EXPORTED, kept
from workbench.runtimes import RUNTIMES
from workbench.tasks import FASTEST, TASKS, BrokenOff, any_running, begin, carry_out_task, last_task
from workbench.workers import LocalWorkers

PATIENCE = 500  # seconds that a busy machine may take


@pytest.fixture
def study(few_digits: Dataset, tmp_path: Path) -> Study:
    return Study("lenet300", few_digits, path=tmp_path / "study")


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that counts to as many as it is asked to, and refuses to count to thirteen."""

    def counting(study, told, to):
        for number in range(to):
            told({"share": number / to, "message": str(number)})
        if to == 13:
            raise WorkbenchError("Thirteen is no number.", "Try twelve.")
        return {"sentences": [f"Counted to {to}."]}

    monkeypatch.setitem(TASKS, "count", counting)


def test_another_page_sees_what_was_asked_how_far_it_is_and_what_was_found(study: Study, count: None) -> None:
    assert last_task(study, "count") is None
    begin(study, "count", {"to": 3})
    theirs = last_task(study, "count")
    assert theirs is not None and theirs.options == {"to": 3} and not theirs.done() and any_running(study)
    with pytest.raises(TimeoutError):
        theirs.result(timeout=0.2)
    carry_out_task(study, "count", {"to": 3})
    assert theirs.done() and theirs.result() == {"sentences": ["Counted to 3."]} and not any_running(study)
    assert theirs.progress() == {"share": 0.0, "message": "0"}


def test_a_refusal_and_a_stop_reach_the_other_page_too(study: Study, count: None) -> None:
    begin(study, "count", {"to": 13})
    theirs = last_task(study, "count")
    assert theirs is not None
    with pytest.raises(WorkbenchError):
        carry_out_task(study, "count", {"to": 13})
    with pytest.raises(WorkbenchError, match=r"Thirteen is no number\. Try twelve\."):
        theirs.result()
    begin(study, "count", {"to": 12})
    assert theirs.done()  # another was begun since
    theirs = last_task(study, "count")
    assert theirs is not None and not theirs.done()
    theirs.cancel()
    with pytest.raises(Cancelled):
        carry_out_task(study, "count", {"to": 12})
    with pytest.raises(Cancelled):
        theirs.result()


def test_what_a_killed_process_left_is_known_as_broken_off(study: Study) -> None:
    code = f"""
import sys, time
from workbench import Study
from workbench.tasks import begin
begin(Study("lenet300", "mnist", path={str(study.path.parent / "theirs")!r}), "search", {{"budget": "5 min"}})
print("begun", flush=True)
time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None and process.stdout.readline().strip() == "begun"
    theirs = last_task(Study.open(study.path.parent / "theirs"), "search")
    assert theirs is not None and not theirs.done()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert theirs.done() and theirs.options == {"budget": "5 min"}
    with pytest.raises(BrokenOff, match="ended from outside"):
        theirs.result()


def test_what_runs_already_is_watched_and_not_done_twice(study: Study) -> None:
    workers = LocalWorkers()
    try:
        begin(study, "prepare", {"seconds": 1})  # as by another page, of a process that lives
        theirs = workers.start(study, "prepare", seconds=2)
        assert theirs.options == {"seconds": 1} and not theirs.done()
    finally:
        workers.close()


def test_a_task_whose_worker_is_killed_is_broken_off_for_every_page(study: Study) -> None:
    workers = LocalWorkers()
    try:
        task = workers.start(study, "prepare", seconds=60)
        theirs = last_task(study, "prepare")
        assert theirs is not None
        deadline = time.monotonic() + PATIENCE
        while task.progress() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        pid, _ = json.loads((study.path / "tasks" / "prepare.ticket.json").read_text())["process"]
        assert pid != os.getpid()
        os.kill(pid, signal.SIGKILL)
        for watched in (task, theirs):
            with pytest.raises(BrokenOff):
                watched.result(timeout=60)
    finally:
        workers.close()


def test_a_trial_elsewhere_is_kept_with_the_trial_as_is_the_fastest_file(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {name: RUNTIMES[name] for name in ("onnxruntime", "torch")}
    monkeypatch.setattr("workbench.best.RUNTIMES", here)
    number = study.baseline.number
    told = carry_out_task(study, "runtimes", {"number": number})
    answer = kept(study, number, "runtimes")
    assert answer.sentences == told["sentences"] and answer.sentences[0].startswith("Best here with 1 thread")
    assert [row["runtime"].split()[0] for row in answer.table] == ["ONNX", "PyTorch"]
    assert answer.table[1]["answers"] == "100.0% same"
    files = [file.name for file in (study.storage.folder(number) / EXPORTED / FASTEST).glob("*")]
    assert files == ([] if here["onnxruntime"].title in answer.sentences[0].split(".")[0] else ["torch.pt2"])


def test_the_threads_and_inputs_of_a_trial_are_kept_with_it(study: Study) -> None:
    number = study.baseline.number
    carry_out_task(study, "grid", {"number": number})
    table = kept(study, number, "grid").table
    assert {(row["threads"], row["inputs at once"]) for row in table} >= {("1", "1"), ("1", "16")}
    assert all(float(row["ms"].split()[0]) > 0 for row in table)
    other = "torch" if study.runtime.name != "torch" else "onnxruntime"
    assert kept(study, number, f"grid-{other}") is None
    carry_out_task(study, "grid", {"number": number, "runtime": other})
    assert len(kept(study, number, f"grid-{other}").table) == len(table)


def test_from_how_many_zeros_on_layers_are_faster_is_kept_with_the_trial(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.crossover.SECONDS", 0.02)
    number = study.baseline.number
    told: list[dict] = []
    carry_out_task(study, "crossovers", {"number": number}, told.append)
    answer = kept(study, number, "crossovers")
    shapes = study.crossovers(number)
    assert [row["layer"] for row in answer.table] == [str(one.shape).removeprefix("a ") for one in shapes]
    assert all({"50%", "99%", "pays from"} <= set(row) for row in answer.table)
    assert answer.sentences[0].startswith("Here zeros pay for ") and len(told) == len(shapes) + 1
