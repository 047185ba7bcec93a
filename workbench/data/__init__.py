"""Datasets: the class, and the registry of those known by name."""

from collections.abc import Callable

from workbench.data.base import Dataset, Split
from workbench.data.cifar10 import cifar10, download
from workbench.data.packed import fashion_mnist, mnist
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


__all__ = ["DATASETS", "DOWNLOADS", "Dataset", "Split", "load_dataset"]
