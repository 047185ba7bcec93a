"""The bar over work under way: how far, how long, and a button that stops it."""

import re
from collections.abc import Iterator
from html import escape

import pytest

from widgets.work import WorkBar
from workbench import Dataset, Distill, Finetune, Quantize, Recipe, Study
from workbench.workers import Job, LocalWorkers

LONG = Recipe([Finetune(epochs=200), Quantize()])
FAILING = Recipe([Distill(teacher="resnet20")])  # which takes larger images
PROGRESS = r"Trial \d+, step 1 of 4: Finetune: epoch \d+\.\d, loss \d+\.\d{3}, validation accuracy \d+\.\d\d%"


@pytest.fixture(scope="module")
def workers() -> Iterator[LocalWorkers]:
    pool = LocalWorkers()
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def lenet(few_digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = Study("lenet5", few_digits, path=tmp_path_factory.mktemp("bar") / "lenet5")
    _ = study.baseline
    return study


@pytest.fixture
def done() -> list[Job]:
    """The jobs that the bar told of, in their order."""
    return []


@pytest.fixture
def bar(done: list[Job]) -> WorkBar:
    return WorkBar(on_done=done.append)


def test_at_first_nothing_runs_and_nothing_can_be_cancelled(bar):
    assert bar.text.value == "No trial is running."
    assert bar.cancel.disabled


def test_progress_has_figures_and_a_time_and_cancel_ends_it(bar, done, workers, lenet, wait_until):
    job = workers.submit(lenet, LONG)
    bar.watch(job)
    wait_until(lambda: re.match(PROGRESS, bar.text.value))
    wait_until(lambda: re.search(r"about \d+ s left in this step", bar.text.value))
    assert 0 < bar.bar.value < 1 / 4  # within the first of four steps
    assert not bar.cancel.disabled

    bar.cancel.click()
    assert bar.cancel.disabled
    wait_until(lambda: done)
    assert done == [job]
    assert job.trial().state == "cancelled"
    assert re.fullmatch(rf"Trial {job.number}: cancelled in [\d.]+ s\. Cancelled by the user\.", bar.text.value)
    assert (bar.bar.value, bar.cancel.disabled) == (0, True)


def test_jobs_are_followed_one_after_the_other_and_cancel_stops_only_what_runs(bar, done, workers, lenet, wait_until):
    jobs = [workers.submit(lenet, recipe) for recipe in (LONG, FAILING, FAILING)]
    for job in jobs:
        bar.watch(job)
    wait_until(lambda: re.match(PROGRESS + ".* 2 more waiting", bar.text.value))
    bar.cancel.click()
    wait_until(lambda: len(done) == 3)
    assert done == jobs
    assert [job.trial().state for job in jobs] == ["cancelled", "failed", "failed"]


def test_a_search_has_the_bar_between_its_trials_with_a_way_to_it_and_a_stop_of_its_own():
    pressed: list[str] = []
    bar = WorkBar(lambda job: None, show=lambda: pressed.append("show"), stop=lambda: pressed.append("stop"))
    assert bar.to_search.layout.display == bar.stop_search.layout.display == "none"
    bar.search(0.25, "A search runs & goes on")
    assert (bar.text.value, bar.bar.value, bar.bar.layout.visibility) == (
        "A search runs &amp; goes on",
        0.25,
        "visible",
    )
    assert bar.to_search.layout.display == bar.stop_search.layout.display == ""
    assert bar.cancel.disabled  # which is for trials
    bar.to_search.click()
    bar.stop_search.click()
    assert pressed == ["show", "stop"]
    bar.search(None)
    assert (bar.text.value, bar.bar.layout.visibility) == ("No trial is running.", "hidden")
    assert bar.to_search.layout.display == bar.stop_search.layout.display == "none"


def test_beside_a_trial_the_search_is_named_and_cancel_means_the_trial(bar, done, workers, lenet, wait_until):
    job = workers.submit(lenet, LONG)
    bar.watch(job)
    bar.search(0.25, "A search runs")
    wait_until(lambda: re.match(PROGRESS + ".* A search runs: 25% of its budget", bar.text.value))
    bar.cancel.click()
    wait_until(lambda: done)
    assert job.trial().state == "cancelled"
    assert bar.text.value.startswith(f"Trial {job.number}: cancelled")
    assert bar.bar.value == 0.25 and bar.bar.layout.visibility == "visible"
    bar.search(0.3, "A search runs")
    assert bar.text.value == "A search runs"


def test_a_reason_is_shown_as_text_and_never_as_part_of_the_page(bar, done, workers, lenet, wait_until):
    job = workers.submit(lenet, FAILING)
    bar.watch(job)
    wait_until(lambda: done)
    reason = job.trial().reason
    assert escape(reason) != reason
    assert re.fullmatch(rf"Trial {job.number}: failed in [\d.]+ s\. {re.escape(escape(reason))}", bar.text.value)


def test_what_waits_can_be_moved(done, workers, lenet, wait_until):
    bar = WorkBar(on_done=done.append, move=workers.move)
    jobs = [workers.submit(lenet, recipe) for recipe in (LONG, FAILING, FAILING)]
    for job in jobs:
        bar.watch(job)
    wait_until(lambda: len(bar.waiting.options) == 2)
    assert (bar.up.disabled, bar.down.disabled) == (True, False)
    bar.waiting.value = jobs[2].number
    assert (bar.up.disabled, bar.down.disabled) == (False, True)
    bar.up.click()
    assert [number for _, number in bar.waiting.options] == [jobs[2].number, jobs[1].number]
    assert (bar.waiting.value, bar.up.disabled) == (jobs[2].number, True)
    wait_until(lambda: re.match(PROGRESS, bar.text.value))
    bar.cancel.click()
    wait_until(lambda: len(done) == 3)
    assert done == [jobs[0], jobs[2], jobs[1]]


def test_what_waits_is_listed_and_can_be_removed(bar, done, workers, lenet, wait_until):
    assert bar.waiting.layout.display == "none"
    jobs = [workers.submit(lenet, recipe) for recipe in (LONG, FAILING, LONG)]
    for job in jobs:
        bar.watch(job)
    wait_until(lambda: [number for _, number in bar.waiting.options] == [job.number for job in jobs[1:]])
    bar.waiting.value = jobs[2].number
    bar.remove.click()
    assert [number for _, number in bar.waiting.options] == [jobs[1].number]
    assert jobs[2].trial().state == "cancelled"
    wait_until(lambda: re.match(PROGRESS, bar.text.value))
    bar.cancel.click()
    wait_until(lambda: len(done) == 3)
    assert [job.trial().state for job in jobs] == ["cancelled", "failed", "cancelled"]
    assert bar.waiting.layout.display == "none"
