"""What people do with the page besides their first run: on a study that is already there."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import PATIENCE, Server, Visit, visit
from workbench import Prune, Quantize, Recipe, Study
from workbench.metrics import bytes_text

NAME = "lenet300-mnist-onnxruntime"
FRAME = """() => {  // the box of the first plot's frame on the screen
  const look = (view) => (view.model.type == "Figure" ? view : (view.child_views ?? []).map(look).find(Boolean))
  const plot = (Bokeh.index.roots ?? Object.values(Bokeh.index)).map(look).find(Boolean)
  const canvas = plot.canvas_view.el.getBoundingClientRect(), frame = (plot.frame_view ?? plot.frame).bbox
  return [canvas.left + frame.left, canvas.top + frame.top, canvas.left + frame.right, canvas.top + frame.bottom]
}"""


@pytest.fixture(scope="module")
def known(app: Server) -> Study:
    """A study with a baseline and one trial, among the server's."""
    study = Study("lenet300", "mnist", path=app.studies / NAME)
    study.run(Recipe([Prune(), Quantize()]))
    return study


@pytest.fixture
def opened(browser: Browser, app: Server, known: Study) -> Visit:
    return look_at(browser, app, 1)


def look_at(browser: Browser, app: Server, number: int) -> Visit:
    """A page on a trial of the study, by its address."""
    seen = visit(browser, app.url, f"?study={NAME}&trial={number}")
    expect(seen.page.locator(".wb-chosen-head")).to_contain_text(f"Trial {number}:")
    expect(seen.page.locator(".wb-plot canvas").first).to_be_visible()
    return seen


def leave(*visits: Visit) -> None:
    """Close the pages, of which none met an error or asked an outside host."""
    for seen in visits:
        assert (seen.outside, seen.errors) == ([], [])
        seen.page.close()


def row(page: Page, number: int):
    return page.locator(f".wb-rows [data-number='{number}']")


def test_an_address_opens_the_trial_with_the_figures_of_its_database(opened: Visit, known: Study) -> None:
    page, metrics = opened.page, known.trial(1).metrics
    assert metrics is not None
    expect(page.get_by_label("Model", exact=True)).to_have_value("LeNet-300-100")
    expect(row(page, 1)).to_have_attribute("aria-selected", "true")
    for figure in (bytes_text(metrics.size_bytes), metrics.score.text(), f"{metrics.parameters:,}"):
        expect(page.locator(".wb-tiles")).to_contain_text(figure)
    leave(opened)


def test_the_plots_fill_the_screen_and_come_back(opened: Visit) -> None:
    page = opened.page
    small = page.evaluate("document.querySelector('.wb-plot').offsetWidth")
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.fullscreenElement?.matches('.wb-plot')")
    page.wait_for_function("document.querySelector('.wb-plot').offsetWidth == innerWidth")
    page.wait_for_function(f"({FRAME})()[3] > 0.7 * innerHeight")
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("!document.fullscreenElement")
    page.wait_for_function(f"document.querySelector('.wb-plot').offsetWidth == {small}")
    page.wait_for_function(f"({FRAME})()[3] < 0.5 * innerHeight")
    leave(opened)


def test_a_box_around_points_sets_their_trials_side_by_side(opened: Visit) -> None:
    page = opened.page
    page.locator(".bk-tool-icon-box-select").first.click()
    left, top, right, bottom = page.evaluate(FRAME)
    page.mouse.move(left + 2, top + 2)
    page.mouse.down()
    page.mouse.move((left + right) / 2, (top + bottom) / 2, steps=4)
    page.mouse.move(right - 2, bottom - 2, steps=4)
    page.mouse.up()
    expect(page.locator(".wb-chosen-head")).to_contain_text("2 trials side by side")
    expect(page.locator(".wb-card tbody tr")).to_have_count(2)
    leave(opened)


def test_a_run_with_changed_knobs_is_a_branch_of_the_trial_they_came_from(opened: Visit, known: Study) -> None:
    page, before = opened.page, len(known.trials)
    row(page, 0).click()
    row(page, 1).click()
    page.get_by_role("button", name="Show the knobs of Prune").click()
    page.locator(".wb-step [role=slider]").first.press("ArrowRight")
    gist = page.locator(".wb-gist").first
    expect(gist).to_have_text("55%")
    page.keyboard.press("Control+z")
    expect(gist).to_have_text("50%")
    page.keyboard.press("Control+Shift+Z")
    expect(gist).to_have_text("55%")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(row(page, before)).to_contain_text("kB")
    parent, child = (row(page, number).get_attribute("aria-level") for number in (1, before))
    assert int(child or 0) == int(parent or 0) + 1
    assert known.labels[before].parent == 1
    leave(opened)


def test_two_people_on_one_server_see_each_others_trials_and_keep_their_own_knobs(
    browser: Browser, app: Server, opened: Visit, known: Study
) -> None:
    other = look_at(browser, app, 0)
    mine, theirs, before = opened.page, other.page, len(known.trials)
    mine.get_by_role("button", name="No accuracy lost").click()
    expect(mine.locator(".wb-gist:visible").first).to_contain_text("16")
    expect(theirs.get_by_label("Prune", exact=True)).to_be_checked()
    mine.get_by_role("button", name="Run", exact=True).click()
    expect(row(theirs, before)).to_contain_text("Half")
    expect(theirs.locator(".wb-chosen-head")).to_contain_text("Trial 0:")
    expect(mine.locator(".wb-chosen-head")).to_contain_text(f"Trial {before}:")
    expect(mine.locator(".wb-tiles")).to_contain_text("was")
    leave(opened, other)


def test_a_run_goes_on_after_the_page_was_loaded_again(opened: Visit, known: Study) -> None:
    page = opened.page
    before = len(known.trials)
    expect(page.locator(".wb-gist:visible").first).to_have_text("50%")  # the knobs of the trial of the address
    page.get_by_role("button", name="Balanced").click()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".wb-work")).to_contain_text("Distill: epoch")
    page.reload()
    expect(page.locator(".wb-chosen-head")).to_contain_text(f"Trial {before}:")
    expect(page.locator(".wb-work")).to_contain_text(f"Trial {before}")
    expect(row(page, before)).to_contain_text("kB")
    expect(page.locator(".wb-tiles")).to_contain_text("was")
    assert [trial.state for trial in known.trials][before:] == ["complete"]
    leave(opened)


LOST = """document.addEventListener("DOMContentLoaded", () => {
  if (!sessionStorage.getItem("lost")) {
    sessionStorage.setItem("lost", "once")
    document.body.append("Error displaying widget: model not found")
  }
})"""


def test_a_page_that_came_before_its_widgets_is_loaded_once_more(browser: Browser, app: Server) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.add_init_script(LOST)
    page.goto(app.url)
    expect(page.locator(".wb-run")).to_be_visible()
    assert page.evaluate("performance.getEntriesByType('navigation')[0].type") == "reload"
    page.close()


def test_a_trial_is_tried_in_every_runtime_and_what_was_found_survives_a_reload(opened: Visit) -> None:
    page = opened.page
    page.get_by_role("tab", name="Runtimes").click()
    page.get_by_role("button", name="Try every runtime here").click()
    for again in (False, True):
        if again:
            page.reload()
            page.get_by_role("tab", name="Runtimes").click()
        found = page.locator(".wb-long-work:visible").first
        expect(found).to_contain_text("Best here with 1 thread and batch 1: ONNX Runtime.")
        expect(found.locator("tbody")).to_contain_text("1x: this file")
        expect(page.get_by_role("button", name="Measure again")).to_be_visible()
        for tab in page.locator(".wb-chosen .lm-TabBar-tab").all():
            expect(tab).to_be_in_viewport(ratio=1)
    leave(opened)
