"""The whole app without a browser: what the page does with what the user does."""

import shutil
import sys
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from widgets import Workbench
from workbench import Cancelled, Dataset, Distill, Prune, Quantize, Recipe, Study
from workbench.tickets import shown


def opened(study: Study, digits: Dataset, path: Path) -> Workbench:
    """The app on a copy of the study: 0 is the baseline, 1 complete, 2 failed, 3 cancelled."""
    shutil.copytree(study.path, path)
    return Workbench(Study("lenet5", digits, path=path))


def closed(app: Workbench) -> None:
    app.close()
    app.workers.close()


@pytest.fixture(scope="module")
def app(study: Study, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    app = opened(study, digits, tmp_path_factory.mktemp("app") / "lenet5")
    yield app
    closed(app)


@pytest.fixture(autouse=True)
def _knobs_as_they_were(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "app" in request.fixturenames:
        request.getfixturevalue("app").load(Recipe([Prune(), Distill(), Quantize()]))


def listed(app: Workbench) -> list[int]:
    return [row["number"] for row in app.history.tree.rows]


def said(app: Workbench) -> str:
    return unescape(app.message.value.removeprefix("<div role='alert'>").removesuffix("</div>"))


def points(app: Workbench) -> list[int]:
    return list(app.plot.source.data["number"])


def test_it_opens_on_the_study_with_all_its_trials(app):
    assert set(listed(app)) >= {0, 1, 2, 3}
    assert listed(app) == sorted(listed(app))
    assert points(app)[:2] == [0, 1]
    assert "<b>lenet5</b> on mnist" in app.pickers.children[0].value
    assert not app.run_button.disabled
    assert said(app) == ""


def test_the_recipe_is_what_the_knobs_say(app):
    assert app.recipe() == Recipe([Prune(), Distill(), Quantize()])
    app.editor.card("prune").controls["ratio"].value = 0.3
    app.editor.card("distill").switch.value = False
    app.editor.card("quantize").controls["mode"].value = "dynamic"
    assert app.recipe() == Recipe([Prune(ratio=0.3), Quantize(mode="dynamic")])


def test_an_address_leads_straight_to_its_trial(study, digits, tmp_path, monkeypatch):
    shutil.copytree(study.path, tmp_path / study.path.name)
    page = Workbench(path=tmp_path / "runs")
    named = Study("lenet5", digits, path=tmp_path / study.path.name)
    monkeypatch.setattr(page.pickers, "find", lambda folder, name: named)
    addresses: list[dict[str, str]] = []
    page.browser.observe(lambda change: addresses.append(change["new"]), "address")
    page.browser.query = {"study": study.path.name, "trial": "0"}  # the last that is complete is 1
    assert said(page) == ""
    assert addresses == [{"study": study.path.name, "trial": "0"}]
    assert "Trial 0" in page.chosen.heading.value
    closed(page)


def test_a_page_that_was_only_made_ready_foresees_nothing_before_it_is_looked_at(study, digits, tmp_path, monkeypatch):
    asked: list[Recipe | None] = []
    monkeypatch.setattr("widgets.app._served", lambda: True)
    monkeypatch.setattr("widgets.forecast.Forecast.ask", lambda self, study, recipe, why="": asked.append(recipe))
    shutil.copytree(study.path, tmp_path / study.path.name)
    page = Workbench(path=tmp_path / "runs")
    monkeypatch.setattr(page.pickers, "find", lambda folder, name: Study("lenet5", digits, path=tmp_path / name))
    page.forecast.lacking = True
    page.refresh()
    page.load(Recipe([Prune(ratio=0.2)]))
    assert asked == []
    page.browser.query = {"study": study.path.name}
    assert asked and asked[-1] == page.recipe()
    closed(page)


def test_an_address_of_a_study_that_is_gone_says_so_and_foresees_the_one_that_is_shown(tmp_path, monkeypatch):
    asked: list[Recipe | None] = []
    monkeypatch.setattr("widgets.app._served", lambda: True)
    monkeypatch.setattr("widgets.forecast.Forecast.ask", lambda self, study, recipe, why="": asked.append(recipe))
    page = Workbench(path=tmp_path / "runs")
    page.browser.query = {"study": "lenet5-of-yesterday"}
    assert "lenet5-of-yesterday" in said(page)
    assert page.study is not None and asked[-1] == page.recipe()
    closed(page)


def test_choosing_a_trial_shows_it_and_loads_its_recipe_into_the_knobs(app, study):
    app.history.tree.chosen = 0
    app.history.tree.chosen = 1
    assert "Trial 1" in app.chosen.heading.value
    assert app.recipe() == study.trial(1).recipe
    assert app.plot.source.selected.indices == [1]


def test_a_tap_on_a_point_does_the_same(app, study):
    app.history.tree.chosen = 0
    app.plot.source.selected.indices = [1]
    assert app.history.tree.chosen == 1
    assert "Trial 1" in app.chosen.heading.value
    assert app.recipe() == study.trial(1).recipe


def test_the_baseline_leaves_the_knobs_alone(app):
    app.history.tree.chosen = 1
    before = app.recipe()
    app.history.tree.chosen = 0
    assert "the baseline" in app.chosen.card.value
    assert app.recipe() == before


def test_a_trial_without_a_point_shows_its_reason_and_its_recipe(app, study):
    app.history.tree.chosen = 1
    app.history.tree.chosen = 2
    assert "resnet20 takes 32x32 images" in app.chosen.card.value
    assert app.recipe() == study.trial(2).recipe
    assert app.plot.source.selected.indices == []


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (Recipe([Prune(ratio=0.9), Quantize(weight_bits=4)]), "has no kernels for static 4-bit weights"),
        (Recipe(), "The recipe is empty. Switch on at least one step."),
    ],
)
def test_a_refused_recipe_is_a_sentence_and_loses_nothing(app, recipe, sentence):
    app.load(recipe)
    trials = len(app.study.trials)
    app.run_button.click()
    assert sentence in said(app)
    assert "role='alert'" in app.message.value
    assert app.recipe() == recipe
    assert len(app.study.trials) == trials
    assert not app.run_button.disabled


@pytest.mark.parametrize("who", ["student", "teacher"])
def test_the_served_page_runs_no_code_that_a_recipe_names(app, who, monkeypatch):
    monkeypatch.setenv("WORKBENCH_OWN_CODE", "no")
    trials = len(app.study.trials)
    app.load(Recipe([Distill()]))
    app.editor.card("distill").controls[who].value = "antigravity:fly"
    app.run_button.click()
    assert "'antigravity:fly' names code of somebody's own, which the served page never runs." in said(app)
    assert len(app.study.trials) == trials
    assert "antigravity" not in sys.modules


def test_run_brings_a_measured_point_and_shows_it_with_the_knobs_left_as_they_are(app, wait_until):
    app.load(Recipe([Prune(ratio=0.75)]))
    number = len(app.study.trials)
    app.run_button.click()
    assert said(app) == ""  # the refusal before is gone
    app.editor.card("prune").controls["ratio"].value = 0.6  # while it runs
    assert app.history.tree.chosen == number  # it is shown while it runs
    wait_until(lambda: number in points(app))
    wait_until(lambda: "MACs" in app.chosen.card.value)
    assert points(app)[-1] == number
    assert f"Trial {number}: Prune 75%" in app.chosen.heading.value
    assert "MACs" in app.chosen.card.value
    assert app.recipe() == Recipe([Prune(ratio=0.6)])


def test_what_another_process_adds_to_the_study_appears(app, digits, wait_until):
    other = Study("lenet5", digits, path=app.study.path).run(Recipe([Distill(teacher="resnet20")]))
    wait_until(lambda: other.number in listed(app))


@pytest.fixture
def picked(tmp_path: Path) -> Iterator[Workbench]:
    """The app as the page opens it: the user picks."""
    app = Workbench(path=tmp_path / "runs")
    yield app
    closed(app)


def test_the_pickers_open_a_study_for_each_combination_and_measure_its_baseline(picked, tmp_path):
    first = picked.study
    assert first.path == tmp_path / "runs" / "lenet5-mnist-onnxruntime"
    picked.pickers.runtime.value = "torch"
    second = picked.study
    assert second.path == tmp_path / "runs" / "lenet5-mnist-torch"
    picked.pickers.runtime.value = "onnxruntime"
    assert picked.study.path == first.path
    for study in (first, second):  # the first one too, although it was opened twice
        assert [(t.number, len(t.recipe)) for t in study.trials] == [(0, 0)]
    assert said(picked) == ""


def test_run_without_a_baseline_measures_it_first_and_follows_both(picked, wait_until):
    picked.work.cancel.click()
    wait_until(lambda: picked.study.trial(0).finished and picked.work.cancel.disabled)
    picked.run_button.click()
    assert [len(t.recipe) for t in picked.study.trials] == [0, 0, 3]
    wait_until(lambda: "1 more waiting" in picked.work.text.value)


def test_a_folder_that_cannot_be_written_is_said_and_nothing_can_be_run(tmp_path):
    (tmp_path / "file").touch()
    app = Workbench(path=tmp_path / "file" / "runs")
    assert "can't be used" in said(app)
    assert "Choose a folder that you can write to." in said(app)
    assert app.run_button.disabled
    closed(app)


def test_a_study_whose_folder_is_gone_is_said_without_anybody_touching_the_page(study, digits, tmp_path, wait_until):
    app = opened(study, digits, tmp_path / "lenet5")
    while app.study.path.exists():  # something may be writing into it
        shutil.rmtree(app.study.path, ignore_errors=True)
    wait_until(lambda: "can't be read or written: unable to open database file" in said(app))
    closed(app)


def test_a_search_that_a_program_begins_is_seen_on_an_open_page_and_stopped_from_its_top(app, wait_until):
    app.finding.selected_index = None
    heard: list[str] = []

    def work(told):
        while True:  # until the page stops it
            told({"share": 0.25, "message": "Measuring the baseline", "spent": None})
            heard[:] = [app.work.text.value]
            if "25%" in heard[0] and not app.find.cancel.disabled:
                app.work.stop_search.click()
            time.sleep(0.05)

    with pytest.raises(Cancelled):
        shown(app.study, "search", work, options={"budget": "5 min"})
    assert heard and app.finding.selected_index == 0
    wait_until(lambda: not app.find.button.disabled)
    assert app.work.text.value == "No trial is running."
    assert "was stopped" in app.find.words.value
