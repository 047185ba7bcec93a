"""Pictures of the page's states, for README and lessons: the real app on a real study.

make screenshots
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.driving import FLAGS, free_port, visit, wait_for
from workbench import Distill, Finetune, Half, Prune, Quantize, Recipe, Study
from workbench.study import study_folder

HERE = Path(__file__).parent
RECIPES = (
    Recipe([Prune(ratio=0.3), Quantize()]),
    Recipe([Prune(ratio=0.5), Distill(epochs=1), Quantize()]),
    Recipe([Quantize()]),
    Recipe([Prune(ratio=0.7), Finetune(epochs=1)]),
    Recipe([Half()]),
    Recipe([Distill(teacher="resnet20")]),  # fails: it takes larger images
)


def main() -> None:
    """Make a study, serve it, and take a picture of each state."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        studies = Path(folder, "runs")
        study = Study("lenet5", "mnist", path=studies / study_folder("lenet5", "mnist", "onnxruntime", "cpu"))
        study.prepare_predictions(20)
        for recipe in RECIPES:
            study.run(recipe)
        port, log = free_port(), Path(folder, "server.log")
        command = [sys.executable, "-m", "workbench.cli", "app", "--no-browser"]
        with log.open("w") as out:
            process = subprocess.Popen(
                [*command, "--port", str(port), "--path", str(studies)], stdout=out, stderr=out, env=dict(os.environ)
            )
            try:
                url = f"http://127.0.0.1:{port}/"
                wait_for(f"{url}voila/static/bokeh.min.js", process, log)
                chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
                take(visit(chromium, url).page)
            finally:
                process.terminate()
                process.wait()


def take(page: Page) -> None:
    """Go through the states, and take a picture of each."""

    def shot(name: str) -> None:
        time.sleep(2)  # what moves has come to rest
        page.screenshot(path=HERE / f"{name}.png")

    page.wait_for_function("document.querySelector('.wb-forecast')?.textContent.includes('redicted')")
    page.locator(".wb-rows [data-number='2']").click()
    shot("screenshot")
    page.get_by_role("tab", name="Flips").click()
    page.wait_for_selector(".wb-flips figure")
    shot("flips")
    page.get_by_role("tab", name="Sensitivity").click()
    page.wait_for_selector(".wb-heat")
    shot("sensitivity")
    page.get_by_role("tab", name="Predictions").click()
    page.wait_for_selector(".wb-foreseen circle")
    shot("predictions")
    page.get_by_role("tab", name="Summary").click()
    page.get_by_role("button", name="Show the knobs of Prune").click()
    page.locator(".wb-step").first.get_by_text("Layer by layer").click()
    page.wait_for_selector(".wb-layers select")
    page.locator(".wb-layers").first.scroll_into_view_if_needed()
    shot("by-layer")
    page.get_by_role("button", name="Light or dark").click()
    shot("dark")
    page.get_by_label("Language").select_option(label="中文")
    page.wait_for_selector(".wb-run:has-text('运行')")
    shot("chinese")


if __name__ == "__main__":
    main()
