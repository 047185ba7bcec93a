"""The worker process that all panels of a kernel share."""

import functools

from workbench.workers import LocalWorkers


@functools.cache
def workers() -> LocalWorkers:
    """One pool for all the panels of a kernel."""
    return LocalWorkers()
