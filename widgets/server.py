"""The server of the page: Voila, and a page that tells whether it is well.

Started by ``workbench app``, with Voila's own options.
"""

import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tornado.web import RequestHandler
from voila.app import Voila

LEAST_FREE = 50_000_000  # bytes without which no trial can be stored


class Health(RequestHandler):
    """``/health``: status, version, kernels and free bytes as JSON; 200 while pages can be served, else 503."""

    def initialize(self, server: "Server") -> None:
        self.server = server

    def get(self) -> None:
        told = self.server.health()
        self.set_status(200 if told["status"] == "ok" else 503)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(told))


class Closed(RequestHandler):
    """What a page asks for when it is closed or loaded again: that its kernel ends. What runs there is to go on.

    Voila's own answer is 403, as the page sends no token with it. A kernel that idles is ended after a while.
    """

    def check_xsrf_cookie(self) -> None:
        """Nothing is changed, so that nobody has to be kept from it."""

    def post(self) -> None:
        self.set_status(204)


class Server(Voila):
    """Voila with ``/health``, whose kernels outlive their pages."""

    def init_handlers(self) -> list:
        root = self.server_url.rstrip("/")
        health = f"{root}/health", Health, {"server": self}
        closed = rf"{root}/voila/api/shutdown/[^/]+", Closed
        return [health, closed, *super().init_handlers()]

    def health(self) -> dict[str, Any]:
        """What ``/health`` tells."""
        studies = Path(os.environ.get("WORKBENCH_STUDIES", "."))
        try:
            free = shutil.disk_usage(studies).free
            status = "ok" if free > LEAST_FREE else "the disk is full"
        except OSError as error:
            free, status = 0, f"the folder of studies can't be read: {error.strerror}"
        return {
            "status": status,
            "version": version("compression-workbench"),
            "kernels": len(self.kernel_manager.list_kernel_ids()),
            "free_bytes": free,
        }


if __name__ == "__main__":
    Server.launch_instance()
