"""The trial elsewhere: timed when somebody asks, told as a table, kept, followed and stopped; its fastest file."""

import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from widgets.runtimes import Elsewhere
from workbench import Cancelled, Dataset, Recipe, Study, WorkbenchError
from workbench.questions import EXPORTED, Answer, keep
from workbench.tasks import FASTEST, Task, begin

ROW = {
    "runtime": "PyTorch (eager)",
    "ms": "0.2 [0.1, 0.3]",
    "speed": "3.10x [2.90, 3.30]",
    "answers": "99.6% same",
}
FOUND = Answer(["Best here with 1 thread and batch 1: PyTorch (eager).", "OpenVINO is left out: It is <slow>."], [ROW])


class Started:
    """Starts tasks whose end the test decides."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.future: Future[dict[str, Any]] = Future()

    def __call__(self, study: Study, name: str, **options: Any) -> Task:
        begin(study, name, options)
        self.asked.append((name, options))
        self.future = Future()
        return Task(study, name, self.future)


@pytest.fixture(scope="module")
def measured(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study with its baseline and one trial."""
    study = Study("lenet300", digits, path=tmp_path_factory.mktemp("studies") / "lenet300")
    study.run(Recipe([]))
    study.storage.add(Recipe().to_dict(), Recipe().hash)
    return study


@pytest.fixture
def mine(measured: Study) -> Study:
    for file in [*measured.path.glob("tasks/*"), *measured.storage.folder(0).glob("answer-*")]:
        file.unlink()
    return measured


@pytest.fixture
def started() -> Started:
    return Started()


@pytest.fixture
def page(mine: Study, started: Started) -> Elsewhere:
    page = Elsewhere(started)
    page.about(mine.baseline)
    page.look()
    return page


def test_nothing_is_timed_before_somebody_asks(page: Elsewhere, started: Started) -> None:
    assert started.asked == []
    for part in (page.everywhere, page.grid, page.crossovers):
        assert part.go.layout.display == "" and part.at_work.layout.display == "none"


def test_it_is_timed_with_progress_and_told_as_a_table(
    page: Elsewhere, started: Started, mine: Study, wait_until: Any
) -> None:
    panel = page.everywhere
    panel.go.click()
    panel.go.click()
    assert started.asked == [("runtimes", {"number": 0})]
    assert panel.go.layout.display == "none" and panel.stop.layout.display == ""
    facts = {"share": 0.4, "message": "Trying PyTorch (eager)"}
    (mine.path / "tasks" / "runtimes.json").write_text(json.dumps(facts))
    wait_until(lambda: panel.bar.value == 0.4 and panel.words.value == "Trying PyTorch (eager)")
    keep(mine, 0, "runtimes", FOUND)
    started.future.set_result({"sentences": []})
    wait_until(lambda: panel.task is None and panel.go.layout.display == "")
    assert all(f"<td>{cell}</td>" in panel.shown.value for cell in ROW.values())
    assert (
        panel.shown.value.index("Best here") < panel.shown.value.index("<table") < panel.shown.value.index("&lt;slow")
    )
    assert panel.go.description == "Measure again" and panel.at_work.layout.display == "none"


def test_a_page_that_is_opened_later_shows_what_was_found(mine: Study, started: Started) -> None:
    keep(mine, 0, "runtimes", FOUND)
    page = Elsewhere(started)
    page.about(mine.baseline)
    page.look()
    assert "3.10x" in page.everywhere.shown.value and "3.10x" not in page.grid.shown.value
    assert started.asked == []


def test_where_zeros_pay_is_shown_for_the_layers_of_the_trial(page: Elsewhere, started: Started, mine: Study) -> None:
    keep(mine, 0, "crossovers", Answer(["Here zeros pay for none."], [{"layer": "a layer", "pays from": "never"}]))
    page.about(None)
    page.about(mine.baseline)
    page.look()
    assert "Here zeros pay for none." in page.crossovers.shown.value
    assert "<td>never</td>" in page.crossovers.shown.value
    page.crossovers.go.click()
    assert started.asked == [("crossovers", {"number": 0})]


def test_it_can_be_stopped_and_begun_again(page: Elsewhere, started: Started, mine: Study, wait_until: Any) -> None:
    panel = page.grid
    panel.go.click()
    panel.stop.click()
    assert (mine.path / "tasks" / "grid.cancel").exists() and panel.stop.disabled
    started.future.set_exception(Cancelled())
    wait_until(lambda: panel.words.value == "Stopped.")
    assert panel.stop.layout.display == "none" and panel.go.layout.display == ""
    panel.go.click()
    assert started.asked == [("grid", {"number": 0})] * 2 and panel.words.value != "Stopped."


def test_threads_and_inputs_are_timed_in_the_runtime_that_is_picked(
    page: Elsewhere, started: Started, mine: Study
) -> None:
    panel = page.grid
    assert panel.where.value == mine.runtime.name and {"torch", "onnxruntime"} <= {n for _, n in panel.where.options}
    other = "torch" if mine.runtime.name != "torch" else "onnxruntime"
    keep(mine, 0, f"grid-{other}", Answer(["Elsewhere."], [{"threads": "1"}]))
    panel.where.value = other
    assert "Elsewhere." in panel.shown.value and panel.go.description == "Measure again"
    panel.go.click()
    assert started.asked == [("grid", {"number": 0, "runtime": other})] and panel.where.disabled
    later = Elsewhere(started)
    later.about(mine.baseline)
    later.look()
    assert later.grid.where.value == other and later.grid.where.disabled  # as another page began it
    page.about(None)
    page.about(mine.baseline)
    assert panel.where.value == mine.runtime.name and not panel.where.disabled
    assert panel.shown.value == "" and panel.go.description == "Time threads and batches"


def test_a_refusal_is_a_sentence_beside_what_was_known(
    page: Elsewhere, started: Started, mine: Study, wait_until: Any
) -> None:
    keep(mine, 0, "runtimes", FOUND)
    page.everywhere.go.click()
    started.future.set_exception(WorkbenchError("It has no file.", "Run it again."))
    wait_until(lambda: page.everywhere.task is None and "It has no file." in page.everywhere.shown.value)
    assert "3.10x" in page.everywhere.shown.value


def test_what_runs_for_another_trial_is_said_and_not_taken_for_this_one(
    mine: Study, started: Started, wait_until: Any
) -> None:
    started(mine, "runtimes", number=7)
    (mine.path / "tasks" / "runtimes.json").write_text(json.dumps({"share": 0.4, "message": "Trying OpenVINO"}))
    page = Elsewhere(started)
    page.about(mine.baseline)
    page.look()
    wait_until(lambda: "Trial 7 is first. Trying OpenVINO" in page.everywhere.words.value)
    page.about(None)
    assert page.everywhere.task is None and page.everywhere.words.value == ""


def test_a_trial_that_was_not_measured_has_nothing_to_time(page: Elsewhere, mine: Study) -> None:
    page.about(mine.trial(1))
    assert page.none.layout.display == "" and page.everywhere.layout.display == page.grid.layout.display == "none"
    page.about(mine.baseline)
    assert page.none.layout.display == "none" and page.everywhere.layout.display == ""


def test_the_fastest_file_can_be_taken_with_code_that_runs_it(mine: Study, started: Started) -> None:
    folder: Path = mine.storage.folder(0) / EXPORTED / FASTEST
    folder.mkdir(parents=True)
    (folder / "torch.pt2").write_bytes(b"its bytes")
    keep(mine, 0, "runtimes", FOUND)
    page = Elsewhere(started)
    page.about(mine.baseline)
    page.look()
    shown = page.everywhere.shown.value
    assert "download='lenet300-mnist-0-torch.pt2'" in shown and "aXRzIGJ5dGVz" in shown
    assert "choose PyTorch (eager) under" in shown
    assert "torch.export.load(&quot;lenet300-mnist-0-torch.pt2&quot;)" in shown
