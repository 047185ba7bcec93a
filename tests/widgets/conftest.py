"""What the tests of the face share."""

import time
from collections.abc import Callable

import pytest

PATIENCE = 500  # seconds that a busy machine may take


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Wait for what another thread or process does: `wait_until(lambda: ...)`."""

    def wait(true: Callable[[], object]) -> None:
        until = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < until, "nothing happened"
            time.sleep(0.02)

    return wait
