"""Work that a program has begun is seen and stopped by every page, as that of a page is, and never for longer."""

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from workbench import Cancelled, Dataset, Study, WorkbenchError
from workbench.search.budget import Budget, in_words
from workbench.tasks import BrokenOff, TaskElsewhere, begin, last_task
from workbench.tickets import Told, asked, shown, ticket_of

PATIENCE = 500  # seconds that a busy machine may take
SPACE = {"distill": False, "prune.importance": "l2", "prune.ratio": (0.2, 0.8)}
FACTS = {"share": 0.5, "message": "Half of it"}


@pytest.fixture(scope="module")
def prepared(few_digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that a search need not measure much for."""
    study = Study("lenet300", few_digits, path=tmp_path_factory.mktemp("studies") / "lenet300")
    study.prepare_predictions(seconds=0)
    return study.path


@pytest.fixture
def study(prepared: Path, few_digits: Dataset, tmp_path: Path) -> Study:
    shutil.copytree(prepared, tmp_path / "study")
    return Study("lenet300", few_digits, path=tmp_path / "study")


def seen(study: Study) -> TaskElsewhere:
    """What a page finds."""
    found = last_task(study, "search")
    assert found is not None
    return found


def test_a_search_of_a_program_is_seen_from_its_first_fact_on_and_its_outcome_too(study: Study) -> None:
    looks: list[tuple] = []

    def look(facts: dict) -> None:
        if (task := last_task(study, "search")) is not None:
            looks.append((task.done(), task.of_program, task.progress()))

    found = study.search(["size_bytes", "accuracy"], budget=1, space=SPACE, on_progress=look)
    assert {(done, program) for done, program, _ in looks} == {(False, True)}
    told = [facts for *_, facts in looks if facts]
    assert told and all(0 <= facts["share"] <= 1 and facts["message"] for facts in told)
    task = seen(study)
    assert task.done() and task.result() == found.facts() and task.result()["front"]
    assert task.options["space"] == SPACE and task.options["budget"] == "1 trials"
    on = study.search(**task.options)  # what a page that goes on asks for
    assert on.goal == found.goal and on.spent is not None and on.spent.done == 1


def test_a_page_stops_a_search_of_a_program_which_keeps_the_best_so_far(study: Study) -> None:
    def stop(facts: dict) -> None:
        if facts.get("doing") == "trial":
            seen(study).cancel()  # as from a page

    found = study.search(["size_bytes", "accuracy"], budget="9 trials", space=SPACE, on_progress=stop)
    assert found.stopped and found.front and [t.state for t in study.trials] == ["complete", "cancelled"]
    assert seen(study).result()["stopped"]


def test_an_interruption_between_trials_ends_a_search_as_one_of_a_trial_does(study: Study) -> None:
    def interrupt(facts: dict) -> None:
        if facts.get("doing") == "look":
            raise KeyboardInterrupt

    found = study.search(["size_bytes", "accuracy"], budget="9 trials", space=SPACE, on_progress=interrupt)
    assert found.stopped and found.front and seen(study).result()["stopped"]


def test_what_is_refused_before_it_begins_is_no_matter_of_pages(study: Study) -> None:
    with pytest.raises(WorkbenchError, match="Give at least"):
        study.search(budget="0.01 s")
    assert last_task(study, "search") is None


@pytest.mark.parametrize(
    ("raised", "ended"),
    [
        (WorkbenchError("It is too much.", "Take less."), WorkbenchError),
        (Cancelled(), Cancelled),
        (ZeroDivisionError("by zero"), WorkbenchError),
        (KeyboardInterrupt(), BrokenOff),
    ],
)
def test_however_it_ends_it_does_not_seem_to_run_though_its_process_lives(
    raised: BaseException, ended: type[Exception], study: Study
) -> None:
    def work(told: Told) -> dict:
        told(FACTS)
        assert not seen(study).done()
        raise raised

    with pytest.raises(type(raised)):
        shown(study, "search", work, options={})
    assert seen(study).done()
    with pytest.raises(ended):
        seen(study).result()


def test_nor_where_the_disk_is_too_full_to_say_so(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    def work(told: Told) -> dict:
        told(FACTS)
        monkeypatch.setattr("workbench.tickets._write", full)
        return {"sentences": []}

    assert shown(study, "search", work, options={}) == {"sentences": []}
    assert last_task(study, "search") is None


def test_while_another_search_runs_pages_go_on_showing_that_one(study: Study) -> None:
    begin(study, "search", {"budget": "5 min"})  # as by a page, of a process that lives
    theirs = seen(study)
    theirs.cancel()

    def work(told: Told) -> dict:
        told(FACTS)  # the wish to stop is the other's
        return {"sentences": ["Found."]}

    assert shown(study, "search", work, options={"budget": "1 min"}) == {"sentences": ["Found."]}
    assert not theirs.done() and theirs.progress() is None and seen(study).options == {"budget": "5 min"}


def test_a_program_that_is_killed_leaves_nothing_that_seems_to_run(study: Study) -> None:
    path = study.path.parent / "theirs"
    code = f"""
import time
from workbench import Study
from workbench.tickets import shown
def work(told):
    told({FACTS!r})
    print("begun", flush=True)
    time.sleep(600)
shown(Study("lenet300", "mnist", path={str(path)!r}), "search", work, options={{"budget": "5 min"}})
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None and process.stdout.readline().strip() == "begun"
    theirs = seen(Study.open(path))
    assert not theirs.done() and theirs.of_program and theirs.progress() == FACTS
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert theirs.done()
    with pytest.raises(BrokenOff):
        theirs.result()


def test_the_address_of_another_database_is_not_left_in_the_folder(study: Study, tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="can't be kept"):
        study.search(budget=1, space=SPACE, storage="postgresql://me:secret@nowhere.invalid/history")
    assert last_task(study, "search") is None  # it is refused before anything begins
    study.search(budget=1, space=SPACE, storage=f"sqlite:///{tmp_path / 'secret.db'}")
    assert seen(study).options == {}
    assert not any(b"secret" in path.read_bytes() for path in (study.path / "tasks").glob("*.ticket.json"))


@pytest.mark.parametrize("budget", ["10 min", 30, timedelta(minutes=2.5)])
def test_a_budget_is_told_so_that_it_can_be_given_again(budget: str | int | timedelta) -> None:
    given, again = Budget.of(budget), Budget.of(in_words(budget))
    assert (given.seconds, given.trials) == (again.seconds, again.trials)


def test_ranges_and_choices_come_back_so_that_a_page_can_go_on(study: Study) -> None:
    space = {"prune.ratio": (0.2, 0.8), "prune.importance": {"l2", "l1"}, "distill": False}
    begin(study, "search", {"space": space})
    ticket = ticket_of(study, "search")
    assert ticket is not None and asked(ticket) == {"space": {**space, "prune.importance": ["l1", "l2"]}}


def test_it_is_over_soon_after_a_page_stops_what_a_command_searches_for(tmp_path: Path) -> None:
    """In a process of its own, as a user begins it."""
    path = tmp_path / "command"
    command = [sys.executable, "-m", "workbench.cli", "search", "--model", "lenet300", "--budget", "30 min"]
    process = subprocess.Popen([*command, "--path", str(path)], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        if (path / "study.db").exists() and Study.open(path).storage.complete():  # its baseline
            seen(Study.open(path)).cancel()
            break
        time.sleep(0.1)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and "The search was stopped by the user." in said
    task = seen(Study.open(path))
    assert task.done() and task.of_program and task.result()["stopped"]
