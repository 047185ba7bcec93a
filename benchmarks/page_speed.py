"""How long a person waits for the page: headless Chromium on the real app.

    python benchmarks/page_speed.py --times 20 --trials 2000

Printed as p50 and p95: from asking for the page to the first usable control, for the first page of a server (cold) and
with the preheated kernel; from a key on a slider to the moved prediction on the canvas, and from a choice of a trial to
its filled card, in a study of a few trials and in one of many. Each of the latter two is taken in the browser, from the
event to the frame after the change. The many trials are copies of a measured one under other numbers: they only fill
the page.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import typer
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from tests.browser.driving import FLAGS, free_port, visit, wait_for
from workbench import Prune, Quantize, Recipe, Study
from workbench.study import study_folder

NAME = study_folder("lenet5", "mnist", "onnxruntime", "cpu")
WATCH = """([find, act]) => new Promise((done) => {  // milliseconds from an act to the frame that shows its effect
  const value = new Function("return " + find), before = value(), began = performance.now()
  new Function(act)()
  const look = () => (value() !== before ? done(performance.now() - began) : requestAnimationFrame(look))
  requestAnimationFrame(look)
})"""
AHEAD = """JSON.stringify([...Bokeh.documents].flatMap((doc) => [...doc._all_models.values()])
  .filter((model) => model.type == "ColumnDataSource" && "told" in model.data).map((model) => [...model.data.size]))"""
CARD = "document.querySelector('.wb-chosen-head h3').textContent + document.querySelector('.wb-card').textContent"


def main(times: int = 20, trials: int = 2000) -> None:
    """Serve a small study and a large one, and measure both."""
    table = Table(title="Milliseconds; a page is usable when its Run button is")
    for column in ("what", "p50", "p95", "times"):
        table.add_column(column)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        few = _study(Path(folder, "few"))
        _multiply(few, Path(folder, "many"), trials)
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name in ("few", "many"):
            with _served(Path(folder, name)) as url:
                opened = [_open(chromium, url, wait=0.0 if first else 15.0) for first in (True, *[False] * 3)]
                _row(table, f"first control, {name} trials, cold", opened[:1])
                _row(table, f"first control, {name} trials, preheated", opened[1:])
                page = visit(chromium, url).page
                page.wait_for_function("document.querySelector('.wb-forecast')?.textContent.includes('redicted')")
                _row(table, f"slider to prediction, {name} trials", [_slide(page, n) for n in range(times)])
                _row(table, f"choice to filled card, {name} trials", [_choose(page, n) for n in range(times)])
    Console().print(table)


def _study(folder: Path) -> Study:
    study = Study("lenet5", "mnist", path=folder / NAME)
    for ratio in (0.2, 0.4, 0.6):
        study.run(Recipe([Prune(ratio=ratio), Quantize()]))
    study.prepare_predictions(10)
    return study


def _multiply(study: Study, folder: Path, count: int) -> None:
    """A copy of the study whose last trial is there many times."""
    shutil.copytree(study.path, folder / NAME)
    last = max(trial.number for trial in study.trials)
    copy = "INSERT INTO trials SELECT ?, state, json_set(record, '$.number', ?) FROM trials WHERE number = ?"
    with sqlite3.connect(folder / NAME / "study.db") as database:
        database.executemany(copy, [(number, number, last) for number in range(last + 1, count)])


@contextmanager
def _served(studies: Path) -> Iterator[str]:
    port, log = free_port(), studies / "server.log"
    command = [
        sys.executable,
        "-m",
        "workbench.cli",
        "app",
        "--no-browser",
        "--port",
        str(port),
        "--path",
        str(studies),
    ]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=dict(os.environ))
        try:
            url = f"http://127.0.0.1:{port}/"
            wait_for(f"{url}voila/static/bokeh.min.js", process, log)
            yield url
        finally:
            process.terminate()
            process.wait()


def _open(chromium: Browser, url: str, wait: float) -> float:
    time.sleep(wait)  # until a kernel is preheated again
    began = time.perf_counter()
    page = visit(chromium, url).page
    page.wait_for_selector(".wb-run:not([disabled])")
    took = 1000 * (time.perf_counter() - began)
    page.close()
    return took


def _slide(page: Page, turn: int) -> float:
    knobs = page.get_by_role("button", name="Show the knobs of Prune")
    if knobs.inner_text() == "▸":
        knobs.click()
    page.locator(".wb-step [role=slider]").first.focus()
    time.sleep(1.0)  # the prediction before has come
    key = "ArrowRight" if turn % 2 else "ArrowLeft"
    code = 39 if turn % 2 else 37
    event = f"new KeyboardEvent('keydown', {{key: '{key}', keyCode: {code}, bubbles: true}})"
    return float(page.evaluate(WATCH, [AHEAD, f"document.activeElement.dispatchEvent({event})"]))


def _choose(page: Page, turn: int) -> float:
    time.sleep(0.5)
    click = f"document.querySelector('.wb-rows [data-number=\"{1 + turn % 3}\"]').click()"
    return float(page.evaluate(WATCH, [CARD, click]))


def _row(table: Table, what: str, took: list[float]) -> None:
    middle, high = np.percentile(took, [50, 95])
    table.add_row(what, f"{middle:.0f}", f"{high:.0f}", str(len(took)))
    Console(stderr=True).print(what, [round(ms) for ms in took])


if __name__ == "__main__":
    typer.run(main)
