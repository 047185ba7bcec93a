"""A real server and a real browser, and how to drive them."""

import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, expect

FLAGS = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync".split()
PATIENCE = 240_000  # milliseconds: busy machines are slow, and a test that waits is not a test that fails
expect.set_options(timeout=PATIENCE)


@dataclass
class Server:
    """A page that is being served."""

    url: str
    studies: Path
    log: Path


@dataclass
class Visit:
    """An open page, and what went over its wire."""

    page: Page
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    """Until the server answers; a server that ended says why."""
    while True:
        try:
            with urlopen(url, timeout=60):
                return
        except (URLError, TimeoutError, ConnectionError):
            assert process.poll() is None, log.read_text()
            time.sleep(0.3)


def visit(browser: Browser, url: str, path: str = "", width: int = 1440, height: int = 900) -> Visit:
    """Open a page of the server at `url`, and listen to it."""
    page = browser.new_page(viewport={"width": width, "height": height}, accept_downloads=True)
    page.set_default_timeout(PATIENCE)
    opened = Visit(page)
    local = (url, url.replace("http", "ws", 1), "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(local) else opened.outside.append(request.url))
    page.on("console", lambda message: opened.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: opened.errors.append(str(error)))
    page.goto(url + path)
    return opened
