"""CIFAR-10 from what lies in a folder: made files of its form, whole, damaged and wrong."""

import hashlib
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from workbench import WorkbenchError
from workbench.data import cifar10, load_dataset

BATCHES, ARCHIVE, ARRAYS = "cifar-10-batches-bin", "cifar-10-binary.tar.gz", "cifar10.npz"
BATCH = 1_001  # so that 5,000 can be held out of five
ROWS = np.random.default_rng(0).integers(0, 256, (6, BATCH, 3073), np.uint8)
ROWS[:, :, 0] %= 10
TRAIN, TEST = ROWS[:5].reshape(-1, 3073), ROWS[5]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The same random pixels in each of the three forms."""
    folder = tmp_path_factory.mktemp("cifar10")
    (folder / BATCHES).mkdir()
    for rows, name in zip(ROWS, [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"], strict=True):
        rows.tofile(folder / BATCHES / name)
    with tarfile.open(folder / ARCHIVE, "w:gz", compresslevel=1) as tar:
        tar.add(folder / BATCHES, arcname=BATCHES)
    images = {f"x_{name}": rows[:, 1:].reshape(-1, 3, 32, 32) for name, rows in (("train", TRAIN), ("test", TEST))}
    np.savez(folder / ARRAYS, **images, y_train=TRAIN[:, 0], y_test=TEST[:, 0])
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty data folder."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def put(folder, made) -> Callable[[str], Path]:
    """Puts one of the made forms into the data folder."""

    def put(name: str) -> Path:
        source = made / name
        return Path((shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name))

    return put


@pytest.mark.parametrize("name", [BATCHES, ARCHIVE, ARRAYS])
def test_every_packing_of_the_same_pixels_is_the_same_dataset(put, monkeypatch, name):
    put(name)
    pixels = {"train": TRAIN[:, 1:], "test": TEST[:, 1:]}
    sums = {split: hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest() for split, rows in pixels.items()}
    monkeypatch.setattr(sys.modules[cifar10.__module__], "SHA256", sums)
    dataset = load_dataset("cifar10")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (5, 5_000, BATCH)
    assert dataset.sample_shape == (3, 32, 32)
    assert np.array_equal(dataset.test.labels, TEST[:, 0])
    assert np.array_equal(dataset.test.inputs.reshape(BATCH, -1), TEST[:, 1:])


@pytest.mark.parametrize("name", [BATCHES, ARCHIVE, ARRAYS])
def test_other_pixels_are_refused(put, name):
    put(name)
    with pytest.raises(WorkbenchError, match=r"The train images in .* are not those of CIFAR-10"):
        load_dataset("cifar10")


@pytest.mark.parametrize("name", [ARCHIVE, ARRAYS])
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.2, 0.5, 0.9, 0.9999])
def test_a_truncated_file_is_refused(put, name, share):
    path = put(name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WorkbenchError, match=f"{path.name} (is incomplete or damaged|can't be read as CIFAR-10)"):
        load_dataset("cifar10")


@pytest.mark.parametrize("name", [ARCHIVE, ARRAYS])
@pytest.mark.parametrize("position", [0.1, 0.5, 0.9])
def test_a_file_with_a_wrong_byte_is_refused(put, name, position):
    path = put(name)
    whole = bytearray(path.read_bytes())
    whole[int(len(whole) * position)] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(WorkbenchError, match=r"damaged|as CIFAR-10|not those of CIFAR-10"):
        load_dataset("cifar10")


@pytest.mark.parametrize("harm", ["missing", "cut"])
def test_an_incomplete_folder_is_refused(put, harm):
    batch = put(BATCHES) / "data_batch_3.bin"
    batch.unlink() if harm == "missing" else batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(WorkbenchError, match=r"incomplete or damaged\. Fetch it again"):
        load_dataset("cifar10")


def test_an_archive_of_something_else_is_refused(folder):
    (folder / "cats.txt").write_text("meow")
    with tarfile.open(folder / ARCHIVE, "w:gz") as tar:
        tar.add(folder / "cats.txt", arcname="cats.txt")
    with pytest.raises(WorkbenchError, match="incomplete or damaged"):
        load_dataset("cifar10")


def test_an_npz_without_the_arrays_is_refused_with_their_names(folder):
    np.savez(folder / ARRAYS, images=np.zeros(3))
    with pytest.raises(WorkbenchError, match="must hold x_train, y_train, x_test and y_test"):
        load_dataset("cifar10")


def test_objects_in_an_npz_are_never_unpickled(folder):
    np.savez(folder / ARRAYS, x_train=np.array([{}], object))
    with pytest.raises(WorkbenchError, match="can't be read"):
        load_dataset("cifar10")


def test_where_it_is_nowhere_the_way_to_get_it_is_told(folder):
    with pytest.raises(WorkbenchError, match="CIFAR-10 is not in") as refusal:
        load_dataset("cifar10")
    assert all(way in refusal.value.hint for way in (ARCHIVE, ARRAYS, BATCHES, "WORKBENCH_DATA", "--download"))
