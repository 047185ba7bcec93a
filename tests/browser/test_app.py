"""The main job, done as a person does it: in a browser, on real data."""

import io
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.driving import Server, Visit, visit
from workbench import Recipe, Study
from workbench.data import load_dataset

POINTS = """() => {
  for (const doc of Bokeh.documents)
    for (const model of doc._all_models.values())
      if (model.type == "ColumnDataSource" && "recipe" in Object.fromEntries(Object.entries(model.data)))
        return Array.from(model.data.recipe)
  return []
}"""

PLACE = """(index) => {  // where a point of the first plot is on the screen
  const views = Bokeh.index.roots ?? Object.values(Bokeh.index)
  const find = (view) => {
    if (view.model.type == "Figure" || view.model.type == "Plot") return view
    for (const child of view.child_views ?? []) {
      const found = find(child)
      if (found) return found
    }
  }
  const plot = views.map(find).find(Boolean)
  const renderer = plot.model.renderers.find((r) => r.data_source && "recipe" in r.data_source.data)
  const {size, accuracy} = renderer.data_source.data
  const box = plot.canvas_view.el.getBoundingClientRect()
  const frame = plot.frame_view ?? plot.frame
  return [box.left + frame.x_scale.compute(size[index]), box.top + frame.y_scale.compute(accuracy[index])]
}"""


@pytest.fixture(scope="module")
def opened(browser: Browser, app: Server) -> Visit:
    """The page, once its baseline is measured."""
    seen = visit(browser, app.url)
    expect(seen.page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    wait_for_points(seen.page, 1)
    return seen


def wait_for_points(page: Page, count: int) -> list[str]:
    page.wait_for_function(f"({POINTS})().length >= {count}")
    return page.evaluate(POINTS)


def panel(page: Page, step: str):
    return page.locator(".wb-step").filter(has=page.get_by_label(step, exact=True))


def switch(page: Page, step: str, on: bool) -> None:
    page.get_by_label(step, exact=True).set_checked(on)


def row(page: Page, number: int):
    return page.locator(f".wb-rows [data-number='{number}']")


def press(page: Page, step: str, slider: int, key: str, times: int = 1) -> None:
    knobs = page.get_by_role("button", name="Show the knobs of " + step)
    if knobs.inner_text() == "▸":
        knobs.click()
    handle = panel(page, step).get_by_role("slider").nth(slider)
    handle.focus()
    for _ in range(times):
        handle.press(key)


def drive(page: Page) -> None:
    """Take the knobs, and wait until each step shows its own: a click before that would fold it again."""
    page.get_by_role("button", name="I'll drive").click()
    for knobs in page.get_by_role("button", name="Show the knobs of").all():
        expect(knobs).to_have_text("▾")


def pick(page: Page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).select_option(label=option)


@pytest.fixture(scope="module")
def downloaded(opened: Visit, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Prune by 40 %, distil for an epoch, quantize to 8 bits, run; then every file that the page offers."""
    page = opened.page
    pick(page, "Model", "LeNet-5")
    pick(page, "Dataset", "MNIST digits")
    drive(page)
    for step in ("Prune", "Distill", "Quantize"):
        switch(page, step, on=True)
    press(page, "Prune", 0, "ArrowRight", times=2)
    expect(panel(page, "Prune")).to_contain_text("40%")
    expect(page.locator(".wb-gist").first).to_contain_text("40%")  # the kernel knows, too
    pick(page, "Weight bits", "8 bits")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".wb-work")).to_contain_text("Distill: epoch")  # the progress is seen as it happens
    recipes = wait_for_points(page, 2)
    assert recipes[0] == "Baseline"
    assert recipes[1] == "Prune 40%, Distill 1 epoch, Quantize 8 bits"
    expect(page.locator(".wb-curve polyline").first).to_be_attached()
    expect(page.locator(".wb-chosen")).to_contain_text("Trial 1:")
    expect(page.locator(".wb-tiles")).to_contain_text("was")
    page.get_by_role("tab", name="Files").click()
    expect(page.locator(".wb-download").first).to_be_visible()
    folder, files = tmp_path_factory.mktemp("downloads"), {}
    for link in page.locator(".wb-download").all()[:3]:
        with page.expect_download() as download:
            link.click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        files[path.suffix] = path
    page.get_by_role("tab", name="Summary").click()
    return files


def test_a_measured_point_lands_beside_the_baseline(downloaded: dict[str, Path], opened: Visit) -> None:
    card = opened.page.locator(".wb-card")
    for word in ("Accuracy", "File size", "Latency", "was", "points", "x smaller", "ms against"):
        expect(card).to_contain_text(word)
    assert set(downloaded) == {".onnx", ".yaml", ".py"}


def test_the_downloaded_model_runs_elsewhere_and_is_as_accurate_as_said(
    downloaded: dict[str, Path], app: Server
) -> None:
    digits = load_dataset("mnist").validation
    session = onnxruntime.InferenceSession(downloaded[".onnx"])
    logits = session.run(None, {session.get_inputs()[0].name: digits.inputs.astype(np.float32) / 255})[0]
    metrics = Study.open(next(app.studies.iterdir())).trial(1).metrics
    assert metrics is not None
    assert (logits.argmax(1) == digits.labels).mean() == pytest.approx(metrics.accuracy.value)
    assert downloaded[".onnx"].stat().st_size == metrics.size_bytes


def test_the_same_trial_from_the_command_line(downloaded: dict[str, Path], app: Server, tmp_path: Path) -> None:
    page_trial = Study.open(next(app.studies.iterdir())).trial(1)
    command = [
        sys.executable,
        "-m",
        "workbench.cli",
        "run",
        str(downloaded[".yaml"]),
        "--json",
        "--path",
        str(tmp_path / "cli"),
    ]
    record = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    recipe = Recipe.load(downloaded[".yaml"])
    assert page_trial.recipe == recipe
    assert record["recipe_hash"] == recipe.hash
    assert page_trial.metrics is not None
    assert page_trial.weight_hash == record["weight_hash"]  # which tests of the command line hold against Python's
    assert page_trial.metrics.size_bytes == record["metrics"]["size_bytes"]


def test_choosing_a_trial_loads_its_recipe_into_the_knobs(downloaded: dict[str, Path], opened: Visit) -> None:
    page = opened.page
    press(page, "Prune", 0, "ArrowRight", times=4)
    expect(panel(page, "Prune")).to_contain_text("60%")
    row(page, 0).click()
    expect(page.locator(".wb-card")).to_contain_text("the baseline")
    row(page, 0).press("ArrowDown")
    expect(panel(page, "Prune")).to_contain_text("40%")
    expect(page.locator(".wb-gist").first).to_contain_text("40%")  # the kernel knows, too


def test_a_tap_on_a_point_loads_its_recipe_into_the_knobs(downloaded: dict[str, Path], opened: Visit) -> None:
    page = opened.page
    row(page, 0).click()
    expect(page.locator(".wb-chosen")).to_contain_text("Trial 0:")
    press(page, "Prune", 0, "End")
    page.mouse.click(*page.evaluate(PLACE, 1))
    expect(page.locator(".wb-chosen")).to_contain_text("Trial 1:")
    expect(panel(page, "Prune")).to_contain_text("40%")
    expect(page.locator(".wb-gist").first).to_contain_text("40%")  # the kernel knows, too


def test_a_refusal_is_a_sentence_in_the_page(downloaded: dict[str, Path], opened: Visit) -> None:
    page = opened.page
    pick(page, "Weight bits", "4 bits")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("has no kernels for static 4-bit weights")
    pick(page, "Weight bits", "8 bits")


def test_cancel_stops_the_trial_and_keeps_it(downloaded: dict[str, Path], opened: Visit) -> None:
    page = opened.page
    press(page, "Distill", 0, "End")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".wb-work")).to_contain_text("Distill: epoch")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".wb-work")).to_contain_text("cancelled")
    expect(page.locator(".wb-card")).to_contain_text("Cancelled by the user.")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()


def test_a_goal_fills_in_a_recipe_and_undo_takes_it_back(downloaded: dict[str, Path], opened: Visit) -> None:
    page = opened.page
    page.get_by_role("button", name="Smaller").click()
    expect(panel(page, "Prune")).to_contain_text("70%")
    expect(panel(page, "Prune").get_by_role("slider").first).not_to_be_visible()  # folded into a line
    page.keyboard.press("Control+z")
    expect(panel(page, "Prune")).to_contain_text("40%")
    expect(page.locator(".wb-gist").first).to_contain_text("40%")  # the kernel knows, too


def test_a_trial_is_named_starred_deleted_and_brought_back(downloaded: dict[str, Path], opened: Visit) -> None:
    page = opened.page
    row(page, 1).click()
    name = page.get_by_role("textbox", name="Name", exact=True)
    name.fill("the one that ships")
    name.press("Enter")
    page.get_by_role("button", name="Star this trial").click()
    expect(row(page, 1)).to_contain_text("the one that ships")
    expect(row(page, 1)).to_contain_text("★")
    page.get_by_role("button", name="Delete this trial").click()
    expect(row(page, 1)).to_have_count(0)
    page.get_by_role("button", name="Bring back").click()
    expect(row(page, 1)).to_have_attribute("aria-selected", "true")


def test_the_points_can_be_taken_away_as_a_table_and_as_drawings(downloaded: dict[str, Path], opened: Visit) -> None:
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="CSV").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == 1 + 2
    assert "Prune 40%, Distill 1 epoch, Quantize 8 bits" in lines[2]
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="SVG").click()
    assert Path(download.value.path()).read_text().startswith("<svg")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_has_no_serious_fault_for_those_who_do_not_see_or_point(
    downloaded: dict[str, Path], opened: Visit, theme: str
) -> None:
    page = opened.page
    if theme == "dark":
        page.get_by_role("button", name="Light or dark").click()
        expect(page.locator(".wb-app")).to_have_class(re.compile("wb-dark"))
    drive(page)
    faults = Axe().run(page, context={"include": [[".wb-app"]]}).response["violations"]
    assert [(f["id"], [n["html"] for n in f["nodes"]]) for f in faults if f["impact"] in ("serious", "critical")] == []


def test_the_address_brings_a_colleague_to_the_same_view_in_the_language_of_choice(
    downloaded: dict[str, Path], opened: Visit, browser: Browser, app: Server
) -> None:
    row(opened.page, 0).click()
    opened.page.wait_for_url("**/?*trial=0*")
    address = opened.page.url.removeprefix(app.url)
    assert address == "?study=lenet5-mnist-onnxruntime&trial=0"
    theirs = visit(browser, app.url, address).page
    expect(theirs.locator(".wb-chosen")).to_contain_text("Trial 0:")
    assert len(wait_for_points(theirs, 2)) == 2  # what was done on another page is there
    theirs.get_by_label("Language").select_option(label="中文")
    expect(theirs.locator(".wb-run")).to_have_text("运行")
    expect(theirs.locator(".wb-chosen")).to_contain_text("试验 0")


DROP = """([name, size]) => {  // a file of so many bytes dropped on the first place for one
  const files = new DataTransfer(), file = new File(["0123456789"], name), place = document.querySelector(".wb-drop")
  if (size) Object.defineProperty(file, "size", { value: size })
  files.items.add(file)
  if (size) Object.defineProperty(files, "files", { value: [file] })
  const event = new DragEvent("drop", { bubbles: true, cancelable: true })
  Object.defineProperty(event, "dataTransfer", { value: files })
  place.dispatchEvent(event)
}"""


def test_files_that_are_no_good_are_refused_with_a_sentence_and_nothing_is_lost(
    downloaded: dict[str, Path], opened: Visit
) -> None:
    page = opened.page
    page.get_by_text("Bring your own").click()
    place = page.locator(".wb-drop").first
    with page.expect_file_chooser() as chooser:
        place.get_by_role("button", name="Data").click()
    chooser.value.set_files({"name": "data.npz", "mimeType": "", "buffer": pickle.dumps({"inputs": [1]})})
    expect(place).to_contain_text("data.npz · 1 kB")
    page.get_by_role("button", name="Look and open").click()
    expect(page.locator(".wb-own").get_by_role("alert")).to_contain_text(
        "data.npz is damaged, or not what its name says"
    )
    page.evaluate(DROP, ["data.zip", 1_100_000_000])
    expect(place).to_contain_text("data.zip has 1100 MB, and 200 MB is the most that is taken.")
    page.evaluate(DROP, ["data.pkl", 0])
    expect(place).to_contain_text("data.pkl is not taken here. Give a file that ends in .npz, .zip.")
    expect(row(page, 1)).to_be_visible()


def test_a_dropped_file_of_many_parts_arrives_whole(downloaded: dict[str, Path], opened: Visit) -> None:
    page = opened.page
    images, labels = np.random.default_rng(0).random((2000, 28, 28)), np.arange(2000) % 10
    held = io.BytesIO()
    np.savez(held, inputs=images.astype(np.float32), labels=labels)
    with page.expect_file_chooser() as chooser:
        page.locator(".wb-drop").first.get_by_role("button", name="Data").click()
    chooser.value.set_files({"name": "noise.npz", "mimeType": "", "buffer": held.getvalue()})
    expect(page.locator(".wb-drop").first).to_contain_text("noise.npz · 6.3 MB")
    page.get_by_role("button", name="Look and open").click()
    expect(page.locator(".wb-own")).to_contain_text("1,440 + 160 + 400 samples")
    expect(page.locator(".wb-own")).to_contain_text("4 layers with weights")


def test_nothing_was_asked_of_an_outside_host_and_no_script_failed(downloaded: dict[str, Path], opened: Visit) -> None:
    assert opened.outside == []
    assert opened.errors == []
