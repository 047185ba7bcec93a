"""Datasets: the class, and the registry of those known by name."""

import hashlib
import json
from collections.abc import Callable

from workbench.data.base import Dataset, Split
from workbench.data.cifar10 import SHA256, cifar10, download
from workbench.data.packed import checksums, fashion_mnist, mnist
from workbench.errors import lookup

DATASETS: dict[str, Callable[[], Dataset]] = {"mnist": mnist, "fashion_mnist": fashion_mnist, "cifar10": cifar10}
DOWNLOADS: dict[str, Callable[[], object]] = {"cifar10": download}


def load_dataset(name: str) -> Dataset:
    """A dataset by name: ``mnist``, ``fashion_mnist`` or ``cifar10``.

    Raises
    ------
    WorkbenchError
        If the name is unknown, or the data are not on this machine.
    """
    return lookup(DATASETS, name, "dataset")()


def fingerprint(name: str) -> str:
    """SHA-256 (16 hex digits) over the checksums of a named dataset, which are checked whenever it is loaded."""
    sums = SHA256 if name == "cifar10" else checksums(name)
    return hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()[:16]


__all__ = ["DATASETS", "DOWNLOADS", "Dataset", "Split", "fingerprint", "load_dataset"]
