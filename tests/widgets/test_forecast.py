"""The line beside Run: what the knobs would give, and the offer to measure what that takes."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from widgets.forecast import SETTLE, Forecast, Point, forecast
from widgets.texts import text
from workbench import Cancelled, Dataset, Finetune, Prune, Quantize, Recipe, Study, WorkbenchError
from workbench.tasks import Task, begin
from workbench.tickets import end, ticket_of

HALF = Recipe([Prune(ratio=0.5), Quantize()])


class Asked:
    """Starts tasks whose end the test decides."""

    def __init__(self) -> None:
        self.future: Future[dict[str, Any]] = Future()

    def __call__(self, study: Study) -> Task:
        return Task(study, "prepare", self.future)


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120  # busy machines are slow
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert holds()


def test_bytes_are_told_before_anything_was_measured_and_no_point_is_drawn(study: Study) -> None:
    words, point, known = forecast(study, HALF)
    assert words.startswith("<span") and " kB" in words and "%" not in words.split(">")[1]
    assert point is None and not known


def test_the_offer_shows_progress_stops_and_comes_back(study: Study) -> None:
    points: list[Point] = []
    asked = Asked()
    panel = Forecast(points.append, asked)
    panel.ask(study, HALF)
    eventually(lambda: panel.words.value and panel.ready.layout.display == "")
    panel.ready.click()
    eventually(lambda: "0%" in panel.ready.description)
    panel.ready.click()
    assert panel.ready.disabled and (study.path / "tasks" / "prepare.cancel").exists()
    asked.future.set_exception(Cancelled())
    eventually(lambda: panel.ready.description == text("forecast.prepare") and not panel.ready.disabled)
    (study.path / "tasks" / "prepare.cancel").unlink()


def test_what_could_not_be_measured_is_a_sentence(study: Study) -> None:
    asked = Asked()
    panel = Forecast(lambda point: None, asked)
    panel.ask(study, HALF)
    eventually(lambda: panel.ready.layout.display == "" and panel.words.value)
    panel.ready.click()
    asked.future.set_exception(WorkbenchError("This model has no layer to prune.", "Give another."))
    eventually(lambda: "no layer to prune" in panel.words.value)


def test_what_is_impossible_is_told_and_raised_for_that_recipe_alone(study: Study, wait_until) -> None:
    points: list = []
    told = Forecast(points.append, lambda study: None)
    bad, good = Recipe([Prune(layers={"nosuchlayer": 0.3})]), Recipe([Prune(ratio=0.2)])
    told.ask(study, bad)
    wait_until(lambda: "nosuchlayer" in told.words.value)
    with pytest.raises(WorkbenchError, match="nosuchlayer"):
        told.check(bad)
    told.check(good)
    told.ask(study, None, "'conv1=banana' names no layer and figure.")
    wait_until(lambda: "banana" in told.words.value)
    told.ask(study, good)
    wait_until(lambda: "MB" in told.words.value)
    assert "banana" not in told.words.value


def test_without_a_recipe_it_is_silent(study: Study) -> None:
    panel = Forecast(lambda point: None, Asked())
    panel.ask(study, Recipe())
    eventually(lambda: panel.ready.layout.display == "none")
    assert panel.words.value == ""


@pytest.fixture(scope="module")
def prepared(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = Study("lenet300", digits, path=tmp_path_factory.mktemp("studies") / "lenet300")
    study.prepare_predictions(seconds=0)
    return study


def test_nothing_is_told_of_a_study_that_was_left(study: Study, prepared: Study) -> None:
    panel = Forecast(lambda point: None, Asked())
    panel.ask(study, HALF)
    eventually(lambda: panel.words.value)
    before = panel.words.value
    panel.ask(prepared, HALF)
    assert panel.words.value == ""
    eventually(lambda: panel.words.value and panel.words.value != before)


def test_where_the_knobs_rest_the_recipe_is_tried_on_some_samples(prepared: Study) -> None:
    recipe, points = Recipe([Prune(ratio=0.37, importance="l1")]), []  # type: ignore[var-annotated]
    panel = Forecast(points.append, Asked())
    panel.ask(prepared, recipe)
    eventually(lambda: panel.words.value.count("Predicted: "))
    eventually(lambda: panel.words.value.count("Predicted, tried on some samples: "))
    before, after = points[0], points[-1]
    looked = prepared.predict(recipe)
    assert looked.looked and not looked.quick and after["accuracy"] == looked.accuracy.value  # type: ignore[union-attr]
    assert after["accuracy"] != before["accuracy"]


@pytest.mark.parametrize("what", ["a task", "a trial"])
def test_while_anything_is_measured_nothing_is_tried_beside_it(prepared: Study, what: str, monkeypatch) -> None:
    monkeypatch.setattr("widgets.forecast.REST", 0.05)
    recipe = Recipe([Prune(ratio={"a trial": 0.43, "a task": 0.47}[what], importance="l1")])
    if what == "a trial":
        prepared.storage.add(recipe.to_dict(), recipe.hash)
    else:
        begin(prepared, "search")
    panel = Forecast(lambda point: None, Asked())
    panel.ask(prepared, recipe)
    eventually(lambda: panel.words.value.count("Predicted: "))
    time.sleep(0.5)
    assert panel.words.value.count("Predicted: ") and prepared.predict(recipe).quick
    if what == "a task":
        end(prepared, "search", ticket_of(prepared, "search") or {}, {"cancelled": True})


def test_what_trains_or_takes_long_is_not_tried(prepared: Study, monkeypatch) -> None:
    assert prepared.predict(Recipe([Prune(ratio=0.53)])).quick
    assert not prepared.predict(Recipe([Prune(ratio=0.53), Finetune()])).quick
    assert not prepared.predict(Recipe([Prune(ratio=0.53, importance="ablation")])).quick
    assert not prepared.predict(Recipe([Prune(ratio=0.3)])).quick  # a probe did
    monkeypatch.setattr("workbench.prediction.predictor.QUICK", 1e6)
    assert not prepared.predict(Recipe([Prune(ratio=0.53)])).quick


@pytest.mark.parametrize("shown", [False, True])
def test_only_a_page_that_is_yet_to_appear_is_waited_for(study: Study, shown: bool, monkeypatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("widgets.forecast.time", SimpleNamespace(sleep=slept.append))
    panel = Forecast(lambda point: None, Asked(), shown=shown)
    for ratio in (0.1, 0.2, 0.3):  # whatever the knobs do meanwhile
        panel.ask(study, Recipe([Prune(ratio=ratio)]))
    while not panel.words.value:
        threading.Event().wait(0.02)
    assert slept == ([] if shown else [SETTLE])
