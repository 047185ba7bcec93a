"""A search that a program has begun, on a page that looks at its study: shown, a trial of it skipped, stopped."""

import threading
import time

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.driving import Server, visit
from workbench import Cancelled, Prune, Recipe, Study
from workbench.tickets import Told, shown

NAME = "lenet300-mnist-onnxruntime"
SPENT = {"elapsed": 150.0, "done": 3, "seconds": 600.0, "trials": None}


@pytest.fixture
def study(app: Server) -> Study:
    """A study with a baseline, among the server's."""
    study = Study("lenet300", "mnist", path=app.studies / NAME)
    _ = study.baseline
    return study


def test_a_search_of_a_program_is_shown_and_from_the_page_a_trial_is_skipped_and_it_is_stopped(
    browser: Browser, app: Server, study: Study
) -> None:
    opened = visit(browser, app.url, f"?study={NAME}&trial=0")
    page = opened.page
    work, find = page.locator(".wb-work"), page.locator(".wb-find")
    expect(page.locator(".wb-chosen-head")).to_contain_text("Trial 0:")
    expect(work).to_contain_text("No trial is running.")
    expect(work.get_by_role("button", name="Stop search")).to_be_hidden()

    recipe = Recipe([Prune()])
    trial = study.storage.add(recipe.to_dict(), recipe.hash).number
    facts = {"share": 0.25, "doing": "trial", "message": "Trial", "recipe": recipe.to_dict(), "number": trial}
    facts |= {"hypervolume": 0.3, "history": [[0, 0.1], [9, 0.3]], "front": [0], "best": 0, "spent": SPENT}
    ended: list[str] = []

    def work_on(told: Told) -> dict:
        while True:
            told(facts)
            time.sleep(0.1)

    def program() -> None:
        try:
            shown(study, "search", work_on, options={"objectives": ["macs"], "budget": "10 min"})
        except Cancelled:
            ended.append("stopped by a page")

    thread = threading.Thread(target=program, daemon=True)
    thread.start()
    expect(work).to_contain_text("A search runs: 25% of its budget · Time: 2 min 30 s of 10 min, 3 trials")
    expect(find).to_contain_text("begun from Python or the command line")
    skip = find.get_by_role("button", name="Skip trial")
    expect(skip).to_be_enabled()
    skip.click()
    expect(skip).to_be_disabled()
    expect(page.locator(f".wb-rows [data-number='{trial}']")).to_be_visible()
    assert study.trial(trial).state == "cancelled" and not ended  # it goes on

    work.get_by_role("button", name="Stop search").click()
    expect(work).to_contain_text("No trial is running.")
    expect(find.get_by_text("Go on for 7 min 30 s")).to_be_visible()
    thread.join()
    assert ended == ["stopped by a page"]
    assert (opened.outside, opened.errors) == ([], [])
    page.close()
