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


class Server(Voila):
    """Voila with ``/health``."""

    def init_handlers(self) -> list:
        health = self.server_url.rstrip("/") + "/health", Health, {"server": self}
        return [health, *super().init_handlers()]

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
