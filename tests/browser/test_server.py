"""The server tells whether it is well, and ends the kernels of pages that are gone."""

import json
import shutil
import time
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

import workbench
from tests.browser.conftest import served
from tests.browser.driving import PATIENCE, Server


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that soon ends what nobody uses."""
    with served(tmp_path_factory.mktemp("hasty"), "--idle", "2") as server:
        yield server


def health(server: Server) -> dict:
    with urlopen(f"{server.url}health", timeout=60) as answer:
        return json.loads(answer.read())


def wait_for_kernels(server: Server, counts: range) -> None:
    deadline = time.monotonic() + PATIENCE / 1000
    while health(server)["kernels"] not in counts:
        assert time.monotonic() < deadline, health(server)
        time.sleep(0.2)


def test_a_kernel_without_a_page_is_ended_and_the_preheated_one_stays(hasty: Server) -> None:
    wait_for_kernels(hasty, range(1, 9))
    for _ in range(2):
        urlopen(hasty.url, timeout=PATIENCE / 1000).close()  # asks for the page, and never connects to its kernel
    wait_for_kernels(hasty, range(2, 9))
    wait_for_kernels(hasty, range(1, 2))
    told = health(hasty)
    assert (told["status"], told["version"]) == ("ok", workbench.__version__)
    assert told["free_bytes"] > 0


def test_a_server_that_lost_its_folder_of_studies_says_so(hasty: Server) -> None:
    shutil.rmtree(hasty.studies)
    with pytest.raises(HTTPError) as refused:
        health(hasty)
    assert refused.value.code == 503
    assert "can't be read" in json.loads(refused.value.read())["status"]
