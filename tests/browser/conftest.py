"""A real server, a real browser: what the page's tests share."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.driving import FLAGS, Server, free_port, wait_for


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium: the system's where there is one, else Playwright's own."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield chromium
        chromium.close()


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Server]:
    """`workbench app`, as a user starts it, with an empty folder of studies."""
    port, studies, log = free_port(), folder / "runs", folder / "server.log"
    command = [sys.executable, "-m", "workbench.cli", "app", "--no-browser"]
    command += ["--port", str(port), "--path", str(studies), *options]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=dict(os.environ))
        url = f"http://127.0.0.1:{port}/"
        wait_for(f"{url}health", process, log)
        yield Server(url, studies, log)
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page, served for a whole file of tests."""
    with served(tmp_path_factory.mktemp("app")) as server:
        yield server
