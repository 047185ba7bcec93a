"""The panel that searches: what it asks for, what it says, and that it can be stopped."""

import json
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from widgets.find import AIMS, Find
from widgets.searching import doing
from widgets.words import recipe_words
from workbench import Cancelled, Dataset, Distill, Prune, Recipe, Study, WorkbenchError, tickets
from workbench.search.goals import QUANTITIES
from workbench.tasks import Task, begin

FOUND = {
    "sentences": ["Trial 1 keeps accuracy_drop at most 1.00 points.", "The search ended as its 120 s were spent."],
    "front": [1],
    "best": 1,
    "history": [{"seconds": 10.0 * n, "trials": n, "hypervolume": 0.2 * n} for n in range(3)],
    "importance": {"size_bytes": {"prune.ratio": 0.8, "quantize": 0.15, "distill": 0.05}},
}


class Asked:
    """Starts tasks whose end the test decides."""

    def __init__(self) -> None:
        self.future: Future[dict[str, Any]] = Future()
        self.options: dict[str, Any] = {}

    def __call__(self, study: Study, name: str, **options: Any) -> Task:
        self.options = options
        return Task(study, name, self.future)


def settled(panel: Find) -> None:
    deadline = time.monotonic() + 10
    while panel.button.disabled and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not panel.button.disabled


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_every_aim_is_made_of_what_a_search_can_make_better() -> None:
    assert all(name in QUANTITIES for names in AIMS.values() for name in names)


def test_it_asks_for_what_its_fields_say(study: Study, asked: Asked) -> None:
    panel = Find(asked, lambda number: None)
    panel.study = study
    panel.aim.value, panel.lost.value, panel.size.value, panel.minutes.value = "smaller", 0.5, 120.0, 2
    panel.find()
    assert asked.options == {
        "objectives": AIMS["smaller"],
        "constraints": {"accuracy_drop": 0.005, "size_bytes": 120_000},
        "budget": "2 min",
    }
    assert panel.button.disabled and not panel.cancel.disabled
    asked.future.set_result(FOUND)
    settled(panel)


def test_no_limit_on_bytes_is_none(asked: Asked) -> None:
    panel = Find(asked, lambda number: None)
    assert panel.asked()["constraints"] == {"accuracy_drop": 0.01}


def test_what_was_found_is_told_and_chosen(study: Study, asked: Asked) -> None:
    chosen: list[int] = []
    panel = Find(asked, chosen.append)
    panel.study = study
    panel.find()
    asked.future.set_result(FOUND)
    settled(panel)
    assert chosen == [1]
    assert "keeps accuracy_drop at most 1.00 points" in panel.words.value
    assert "Prune: Pruning ratio 80%, Quantize: with or without 15%, Distill: with or without 5%" in panel.words.value
    assert "covers 40.0% of what is ideal" in panel.plots.value and "after 2 trials" in panel.plots.value
    assert "the share of each knob" in panel.plots.value


def test_the_plots_grow_while_it_searches(study: Study, asked: Asked) -> None:
    panel = Find(asked, lambda number: None)
    panel.study = study
    panel.find()
    file = study.path / "tasks" / "search.json"
    file.parent.mkdir(exist_ok=True)
    for trials, after in ((1, "after 1 trial<"), (2, "after 2 trials<")):
        history = [[float(place), place / 10] for place in range(trials + 1)]
        file.write_text(json.dumps({"share": 0.1, "message": "Trial", "hypervolume": 0.1, "history": history}))
        deadline = time.monotonic() + 10
        while after not in panel.plots.value and time.monotonic() < deadline:
            time.sleep(0.02)
        assert after in panel.plots.value
    file.unlink()
    asked.future.set_result(FOUND)
    settled(panel)


def test_what_it_does_is_told_in_the_words_of_the_page() -> None:
    recipe = Recipe([Prune(ratio=0.8), Distill(epochs=1, learning_rate=0.00459)])
    facts = {"message": f"Trial: {recipe.describe()}", "doing": "trial", "recipe": recipe.to_dict()}
    assert doing(facts) == f"Trying {recipe_words(recipe)}" and "0.00459" in doing(facts)
    assert doing({**facts, "doing": "look"}).startswith("Looking at Prune 80%")
    assert doing({"message": "Measuring the baseline"}) == "Measuring the baseline"


def test_a_refusal_is_a_sentence_and_the_panel_can_be_used_again(study: Study, asked: Asked) -> None:
    panel = Find(asked, lambda number: None)
    panel.study = study
    panel.find()
    asked.future.set_exception(WorkbenchError("A trial takes about 9 s here.", "Give a larger budget."))
    settled(panel)
    assert "Give a larger budget." in panel.words.value and panel.cancel.disabled


def test_cancel_leaves_the_wish_where_the_worker_looks(study: Study, asked: Asked) -> None:
    panel = Find(asked, lambda number: None)
    panel.study = study
    panel.find()
    panel.cancel.click()
    wish = study.path / "tasks" / "search.cancel"
    assert wish.exists() and panel.cancel.disabled
    asked.future.set_exception(Cancelled())
    settled(panel)
    wish.unlink()


ASKED = {
    "objectives": AIMS["faster"],
    "constraints": {"accuracy_drop": 0.02, "size_bytes": 90_000},
    "budget": "10 min",
}
FACTS = {"share": 0.25, "message": "Trial", "hypervolume": 0.3, "history": [[0, 0.1], [9, 0.3]], "front": [4, 2]}
SPENT = {"elapsed": 150.0, "done": 3, "seconds": 600.0, "trials": None}


@pytest.fixture
def mine(tmp_path: Path, digits: Dataset) -> Study:
    """A study without trials, whose folder a test may write to."""
    return Study("lenet5", digits, path=tmp_path / "mine")


def told(study: Study, kind: str, **facts: Any) -> None:
    """What the process of a search leaves in the study's folder."""
    (study.path / "tasks" / f"search.{kind}").write_text(json.dumps(facts))


def reloaded(study: Study, chosen: list[int] | None = None, **more: Any) -> Find:
    """The panel of a page that is loaded while, or after, another one searched."""
    panel = Find(Asked(), (chosen if chosen is not None else []).append, **more)
    panel.about(study)
    panel.look_around()
    return panel


def test_a_page_loaded_anew_shows_the_search_that_runs_and_stops_it(mine: Study, wait_until: Any) -> None:
    begin(mine, "search", ASKED)
    told(mine, "json", **FACTS, spent=SPENT, best=2)
    opened: list[bool] = []
    chosen: list[int] = []
    panel = reloaded(mine, chosen, on_begin=lambda: opened.append(True))
    assert opened and panel.button.disabled and not panel.cancel.disabled
    assert (panel.aim.value, panel.lost.value, panel.size.value, panel.minutes.value) == ("faster", 2.0, 90.0, 10)
    wait_until(lambda: panel.bar.value == 0.25 and "the front covers 30%" in panel.words.value)
    assert panel.time.value == "Time: 2 min 30 s of 10 min, 3 trials"
    assert "No other trial beats: 4, 2. The best so far is trial 2." in panel.words.value
    panel.cancel.click()
    assert (mine.path / "tasks" / "search.cancel").exists()
    ticket = json.loads((mine.path / "tasks" / "search.ticket.json").read_text())
    told(mine, "result.json", began=ticket["began"], found={**FOUND, "stopped": True, "spent": SPENT})
    settled(panel)
    assert chosen == [1] and panel.go_on.description == "Go on for 7 min 30 s"


def test_what_was_found_before_the_page_came_is_shown_and_nothing_is_chosen(mine: Study) -> None:
    begin(mine, "search", ASKED)
    ticket = json.loads((mine.path / "tasks" / "search.ticket.json").read_text())
    command = "optuna-dashboard sqlite:////somewhere/search.db"
    told(mine, "result.json", began=ticket["began"], found={**FOUND, "spent": SPENT, "dashboard": command})
    chosen: list[int] = []
    panel = reloaded(mine, chosen)
    assert "keeps accuracy_drop" in panel.words.value and command in panel.words.value
    assert panel.time.value.startswith("Time: 2 min 30 s of 10 min") and not chosen
    assert not panel.button.disabled and panel.go_on.layout.display == "none"


def test_a_search_whose_process_was_killed_is_gone_on_with_for_what_is_left(mine: Study) -> None:
    begin(mine, "search", ASKED)
    told(mine, "json", **FACTS, spent=SPENT)
    ticket = json.loads((mine.path / "tasks" / "search.ticket.json").read_text())
    told(mine, "ticket.json", **{**ticket, "process": [ticket["process"][0], 1.0]})
    panel = reloaded(mine)
    assert "ended from outside" in panel.words.value and panel.go_on.layout.display == ""
    asked = panel._start
    panel.go_on.click()
    assert asked.options == {**ASKED, "budget": "450 s"}  # type: ignore[attr-defined]
    asked.future.set_result(FOUND)  # type: ignore[attr-defined]
    settled(panel)


def test_a_search_of_a_program_is_shown_and_stopped_as_one_of_a_page(mine: Study, wait_until: Any) -> None:
    tickets.begin(mine, "search", {"objectives": ["macs"], "budget": "30 trials"}, program=True)
    told(mine, "json", **FACTS, spent={**SPENT, "seconds": None, "trials": 30}, best=2)
    panel = reloaded(mine)
    assert panel.origin.layout.display == "" and "from Python or the command line" in panel.origin.value
    wait_until(lambda: panel.bar.value == 0.25 and "The best so far is trial 2." in panel.words.value)
    assert panel.time.value == "Trials: 3 of 30, in 2 min 30 s"
    panel.cancel.click()
    assert (mine.path / "tasks" / "search.cancel").exists()
    ticket = json.loads((mine.path / "tasks" / "search.ticket.json").read_text())
    told(mine, "result.json", began=ticket["began"], found={**FOUND, "stopped": True})
    settled(panel)
    assert panel.origin.layout.display == "none" and panel.go_on.layout.display == ""
    panel.go_on.click()
    assert panel._start.options == {"objectives": ["macs"], "budget": "30 trials"}  # type: ignore[attr-defined]
    panel._start.future.set_result(FOUND)  # type: ignore[attr-defined]
    settled(panel)


def test_only_the_trial_that_runs_is_skipped(mine: Study, wait_until: Any) -> None:
    begin(mine, "search", ASKED)
    numbers = [mine.storage.add(recipe.to_dict(), recipe.hash).number for recipe in (Recipe(), Recipe([Prune()]))]
    trying = {**FACTS, "doing": "trial", "recipe": Recipe([Prune()]).to_dict()}
    told(mine, "json", **{**trying, "doing": "look"})
    panel = reloaded(mine)
    wait_until(lambda: panel.bar.value == 0.25)
    assert panel.skip.layout.display == "" and panel.skip.disabled
    told(mine, "json", **trying, number=numbers[1])
    wait_until(lambda: not panel.skip.disabled)
    panel.skip.click()
    assert panel.skip.disabled and not panel.cancel.disabled
    assert [mine.trial(number).state for number in numbers] == ["waiting", "cancelled"]
    assert not (mine.path / "tasks" / "search.cancel").exists()
    told(mine, "json", **trying, number=numbers[0])
    wait_until(lambda: not panel.skip.disabled)
    panel.cancel.click()
    assert panel.skip.disabled
    panel.about(None)
    assert panel.skip.layout.display == "none"


def test_the_bar_over_work_under_way_is_told_from_the_beginning_to_the_end(mine: Study, wait_until: Any) -> None:
    begin(mine, "search", ASKED)
    heard: list[tuple[float | None, str]] = []
    panel = reloaded(mine, on_told=lambda share, words: heard.append((share, words)))
    assert heard[-1] == (0.0, "The search waits for a worker to be ready…")
    told(mine, "json", **FACTS, spent=SPENT)
    line = "A search runs: 25% of its budget · Time: 2 min 30 s of 10 min, 3 trials"
    wait_until(lambda: heard[-1] == (0.25, line))
    panel.stop()
    wait_until(lambda: heard[-1] == (0.25, "Stopping…"))
    ticket = json.loads((mine.path / "tasks" / "search.ticket.json").read_text())
    told(mine, "result.json", began=ticket["began"], cancelled=True)
    settled(panel)
    assert heard[-1] == (None, "")


def test_a_search_of_another_study_is_not_shown(mine: Study, study: Study) -> None:
    begin(mine, "search", ASKED)
    panel = reloaded(mine)
    panel.about(study)
    panel.look_around()
    assert panel.task is None and not panel.button.disabled and panel.words.value == ""


def test_without_a_study_nothing_starts(asked: Asked) -> None:
    panel = Find(asked, lambda number: None)
    panel.find()
    assert asked.options == {} and not panel.button.disabled
