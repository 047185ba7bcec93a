"""The datasets that ship: whole, balanced where cut, and checked before they are used."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from workbench import Dataset, WorkbenchError
from workbench.data import load_dataset, packed
from workbench.shipped import shipped

FASHION = {"train": 27_000, "validation": 3_000, "test": 10_000}
DIGITS = {"train": 55_000, "validation": 5_000, "test": 10_000}


@pytest.fixture(scope="module")
def fashion() -> Dataset:
    return load_dataset("fashion_mnist")


def test_the_splits_are_as_the_documentation_says(mnist, fashion):
    for dataset, name, sizes in ((mnist, "mnist", DIGITS), (fashion, "fashion_mnist", FASHION)):
        assert {split: len(getattr(dataset, split)) for split in sizes} == sizes
        assert all(getattr(dataset, split).inputs.dtype == np.uint8 for split in sizes)
        assert (dataset.name, dataset.sample_shape, len(dataset.classes)) == (name, (1, 28, 28), 10)


def test_no_digit_is_in_two_splits(mnist):
    held = {image.tobytes() for image in mnist.validation.inputs}
    assert len(held) == len(mnist.validation)
    for other in (mnist.train, mnist.test):
        assert not held & {image.tobytes() for image in other.inputs}


def test_the_digits_are_those_of_mnist(mnist):
    # the published counts of the ten classes over the 60,000 training digits, and over the 10,000 test digits
    training = np.bincount(mnist.train.labels) + np.bincount(mnist.validation.labels)
    assert training.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_the_part_of_fashion_mnist_is_balanced(fashion):
    training = np.bincount(fashion.train.labels) + np.bincount(fashion.validation.labels)
    assert training.tolist() == [3_000] * 10
    assert np.bincount(fashion.test.labels).tolist() == [1_000] * 10


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_its_checksums_are_those_of_its_files(name):
    folder = shipped(f"datasets/{name}")
    sums = json.loads((folder / "checksums.json").read_text())
    assert sums == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.xz")}


def test_all_that_ships_is_at_most_25_megabytes():
    assert sum(path.stat().st_size for path in shipped("datasets").rglob("*.xz")) <= 25e6


@pytest.mark.parametrize("harm", ["flip", "cut", "empty"])
def test_a_damaged_file_is_refused(tmp_path, monkeypatch, harm):
    shutil.copytree(shipped("datasets/mnist"), tmp_path / "mnist")
    path = tmp_path / "mnist" / "test-labels.npy.xz"
    whole = path.read_bytes()
    flipped = whole[:99] + bytes([whole[99] ^ 1]) + whole[100:]
    path.write_bytes({"flip": flipped, "cut": whole[:-1], "empty": b""}[harm])
    monkeypatch.setattr(packed, "shipped", lambda name: tmp_path / "mnist")
    with pytest.raises(WorkbenchError, match=r"test-labels\.npy\.xz is damaged .*Install"):
        load_dataset("mnist")


def test_what_an_installation_lacks_is_named():
    with pytest.raises(WorkbenchError, match="lacks datasets/imagenet"):
        shipped("datasets/imagenet")
