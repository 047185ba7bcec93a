"""The heat map of the study: measured when somebody looks, of the baseline too; it can be stopped and gone on with."""

import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from widgets.sensitive import Sensitive, heat
from workbench import Cancelled, Dataset, Recipe, Study, WorkbenchError
from workbench.tasks import Task, begin

ROWS = [{"layer": "conv1", "-50%": "99.0%", "2 bits": "49.0%"}, {"layer": "fc<2>", "-50%": "", "2 bits": "98.0%"}]
MOVED = [{"layer": "conv1", "-50%": "50%", "2 bits": "120%"}, {"layer": "fc<2>", "-50%": "", "2 bits": "0.31%"}]
FOUND = {
    "sentences": [],
    "share": 1.0,
    "views": {
        "accuracy": {"sentences": ["99.0% are right."], "table": ROWS},
        "output error": {"sentences": ["The outputs move."], "table": MOVED},
    },
}


class Started:
    """Starts tasks whose end the test decides."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.future: Future[dict[str, Any]] = Future()

    def __call__(self, study: Study, name: str) -> Task:
        begin(study, name)
        self.names.append(name)
        self.future = Future()
        return Task(study, name, self.future)


@pytest.fixture
def started() -> Started:
    return Started()


@pytest.fixture
def mine(tmp_path: Path, digits: Dataset) -> Study:
    """A study with one trial that waits, whose folder a test may write to."""
    study = Study("lenet5", digits, path=tmp_path / "mine")
    study.storage.add(Recipe().to_dict(), Recipe().hash)
    return study


@pytest.fixture
def panel(mine: Study, started: Started) -> Sensitive:
    panel = Sensitive(started)
    panel.about(mine.trial(0))
    return panel


def test_a_cell_is_the_darker_the_more_is_lost() -> None:
    shown = heat(ROWS)
    assert "rgba(213, 94, 0, 0.00)'>99.0<" in shown
    assert "rgba(213, 94, 0, 0.75)'>49.0<" in shown
    assert "rgba(213, 94, 0, 0.02)'>98.0<" in shown
    assert "<td></td>" in shown and "fc&lt;2&gt;" in shown
    assert "colspan='1'>Share of its channels removed<" in shown and "colspan='1'>Bits of its weights<" in shown
    assert "<th scope='col'>50%</th><th scope='col'>2</th>" in shown
    assert heat([]) == ""


def test_a_cell_is_the_darker_the_further_outputs_move_and_tells_decibels() -> None:
    shown = heat(MOVED, "output error")
    assert "rgba(213, 94, 0, 0.38)' title='signal to noise: 6.0 dB'>50<" in shown
    assert "rgba(213, 94, 0, 0.75)' title='signal to noise: -1.6 dB'>120<" in shown
    assert "rgba(213, 94, 0, 0.00)' title='signal to noise: 50.2 dB'>0.31<" in shown


def test_it_is_measured_when_somebody_looks_and_shown_either_way(
    panel: Sensitive, started: Started, mine: Study, wait_until: Any
) -> None:
    assert started.names == []
    panel.look()
    panel.look()
    assert started.names == ["sensitivity"] and panel.stop.layout.display == "" and panel.view.layout.display == "none"
    facts = {"share": 0.4, "message": "Sensitivity: conv1, 4 bits"}
    (mine.path / "tasks" / "sensitivity.json").write_text(json.dumps(facts))
    wait_until(lambda: panel.bar.value == 0.4 and "conv1, 4 bits" in panel.words.value)
    started.future.set_result(FOUND)
    wait_until(lambda: "99.0% are right." in panel.shown.value)
    assert panel.view.layout.display == "" and panel.at_work.layout.display == "none"
    panel.view.value = "output error"
    assert (
        "The outputs move." in panel.shown.value and ">120<" in panel.shown.value and ">49.0<" not in panel.shown.value
    )
    panel.about(mine.trial(0))  # another trial of the same study changes nothing
    panel.look()
    assert ">120<" in panel.shown.value and started.names == ["sensitivity"]


def test_what_was_measured_when_it_was_stopped_is_shown_and_the_rest_follows(
    panel: Sensitive, started: Started, mine: Study, wait_until: Any
) -> None:
    panel.look()
    panel.stop.click()
    assert (mine.path / "tasks" / "sensitivity.cancel").exists() and panel.stop.disabled
    started.future.set_result({**FOUND, "share": 0.4})
    wait_until(lambda: "Stopped: 40% is measured, and stays." in panel.words.value)
    assert ">49.0<" in panel.shown.value and panel.go_on.layout.display == "" and panel.stop.layout.display == "none"
    panel.go_on.click()
    assert started.names == ["sensitivity"] * 2 and not (mine.path / "tasks" / "sensitivity.cancel").exists()
    started.future.set_exception(Cancelled())
    wait_until(lambda: panel.task is None)
    assert panel.words.value == "Stopped before anything was measured." and panel.go_on.layout.display == ""


def test_another_page_shows_what_is_known_and_measures_nothing(mine: Study, started: Started) -> None:
    begin(mine, "sensitivity")
    ticket = json.loads((mine.path / "tasks" / "sensitivity.ticket.json").read_text())
    done = {"began": ticket["began"], "found": FOUND}
    (mine.path / "tasks" / "sensitivity.result.json").write_text(json.dumps(done))
    panel = Sensitive(started)
    panel.about(mine.trial(0))
    panel.look()
    assert ">49.0<" in panel.shown.value and started.names == []


def test_a_refusal_is_a_sentence(mine: Study) -> None:
    def refuse(study: Study, name: str) -> Task:
        raise WorkbenchError("The model can't travel.", "Keep files out of it.")

    panel = Sensitive(refuse)
    panel.about(mine.trial(0))
    panel.look()
    assert "Keep files out of it." in panel.shown.value
    panel.about(None)
    assert "wb-hint" in panel.shown.value
