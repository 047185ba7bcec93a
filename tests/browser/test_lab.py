"""In JupyterLab: the page on one's own study, and the panels one by one among other widgets."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import nbformat
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.driving import Server, free_port, visit, wait_for
from workbench import Quantize, Recipe, Study
from workbench.shipped import shipped

CELLS = """
from workbench import Study
from widgets import Flips, LayerTable, RecipeEditor, TradeoffPlot, TrialHistory, Workbench
study = Study.open("study")
study
---
import ipywidgets as w
plot, history = TradeoffPlot(study), TrialHistory(study)
plot.observe(lambda change: history.mark(change["new"]), "selected")
inside = LayerTable(study.trial(1)), Flips(study.baseline, study.trial(1))
w.VBox([plot, w.HBox([history, RecipeEditor(study)]), *inside])
---
plot.selected = 1
history.mark(plot.selected)
Workbench(study)
"""
DRAWN = """() => {  // how many trials each first plot of a row shows
  const figures = []
  const look = (view) => {
    if (view.model.type == "Figure") figures.push(view.model)
    for (const child of view.child_views ?? []) look(child)
  }
  for (const view of Bokeh.index.roots ?? Object.values(Bokeh.index)) look(view)
  const inside = ({data}, {start, end}) => Array.from(data.size).filter((x) => start < x && x < end).length
  return figures.filter((_, at) => at % 2 == 0).map((plot) =>
    inside(plot.renderers.find((r) => r.data_source && "recipe" in r.data_source.data).data_source, plot.x_range))
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab on a folder with one notebook and a study of two trials."""
    folder = tmp_path_factory.mktemp("lab")
    Study("lenet300", "mnist", path=folder / "study").run(Recipe([Quantize()]))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(cell.strip()) for cell in CELLS.split("---")]
    nbformat.write(nbformat.v4.new_notebook(metadata={"kernelspec": kernel}, cells=cells), folder / "panels.ipynb")
    for lesson in shipped("notebooks").glob("[0-9]*.ipynb"):
        shutil.copyfile(lesson, folder / lesson.name)
    port, log = free_port(), folder / "server.log"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += [f"--notebook-dir={folder}", "--IdentityProvider.token=", "--LabApp.news_url=None"]
    command += [
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(folder)}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=environment)
        url = f"http://127.0.0.1:{port}/"
        wait_for(f"{url}lab", process, log)
        yield Server(url, folder, log)
        process.terminate()
        process.wait()


def test_the_page_and_its_panels_work_among_the_cells_of_a_notebook(browser: Browser, lab: Server) -> None:
    seen = visit(browser, lab.url, "lab/tree/panels.ipynb", height=3000)
    page = seen.page
    expect(page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(3)
    page.locator(".jp-Notebook .jp-CodeCell").first.click()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    expect(page.locator(".wb-page .wb-tiles")).to_contain_text("was")
    expect(page.locator(".jp-OutputArea").first).to_contain_text("lenet300 on mnist")
    expect(page.locator(".wb-single.wb-tree [data-number='1']")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".wb-single .wb-step")).to_have_count(3)
    expect(page.locator(".wb-single.wb-inside").first).to_contain_text("fc1")
    expect(page.locator(".wb-single .wb-flips figure").first).to_be_visible()
    page.wait_for_function(f"JSON.stringify(({DRAWN})()) == '[2,2]'")
    page.locator(".wb-page .wb-step").first.get_by_role("button", name="Show the knobs of Prune").click()
    why = page.locator(".wb-page .wb-why").first
    expect(why).to_be_visible()
    address = why.get_attribute("href") or ""
    assert (lab.studies / address.split("/lab/tree/")[1].split("#")[0]).exists()
    slow = "[anywidget] Failed to initialize model."  # told after two seconds, also where it then succeeds
    assert [error for error in seen.errors if error != slow] == []
