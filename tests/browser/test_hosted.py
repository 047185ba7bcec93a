"""As Binder hosts it: the page inside Jupyter Server, set up by `binder/postBuild`, started by `binder/start`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.driving import Server, free_port, visit, wait_for

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    binaries = str(Path(sys.executable).parent)
    environment = os.environ | {
        "HOME": str(home),
        "PATH": os.pathsep.join([binaries, os.environ["PATH"]]),
        "WORKBENCH_STUDIES": str(home / "runs"),
    }
    without_pip = [line for line in (ROOT / "binder/postBuild").read_text().splitlines() if "pip install" not in line]
    subprocess.run(["bash", "-c", "\n".join(without_pip)], env=environment, cwd=ROOT, check=True)
    port, log = free_port(), home / "server.log"
    command = ["bash", str(ROOT / "binder/start"), f"{binaries}/jupyter", "server", "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ServerApp.token=", "--ServerApp.password=", f"--ServerApp.root_dir={ROOT}"]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
        url = f"http://127.0.0.1:{port}/"
        wait_for(f"{url}voila/static/bokeh.min.js", process, log)
        yield Server(url, home / "runs", log)
        process.terminate()
        process.wait()


def test_the_page_opens_by_its_address_and_asks_nothing_of_an_outside_host(browser: Browser, hosted: Server) -> None:
    seen = visit(browser, hosted.url, "voila/render/notebooks/app.ipynb")
    expect(seen.page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    expect(seen.page.locator(".wb-plot canvas").first).to_be_visible()
    assert seen.outside == []
    assert seen.errors == []
