"""CIFAR-10 (Krizhevsky 2009), from a local folder or archive; it does not ship, as its authors state no licence."""

import hashlib
import os
import tarfile
from pathlib import Path

import numpy as np

from workbench.data.base import Dataset, Split, hold_out
from workbench.errors import WorkbenchError

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
CLASSES = "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck".split(",")
NAMES = ("cifar10.npz", "cifar-10-batches-bin", "cifar-10-binary.tar.gz")
SHA256 = {  # of the decoded pixels, so that every packing of the same set is accepted
    "train": "9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111",
    "test": "177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56",
}


def cifar10() -> Dataset:
    """CIFAR-10: 45,000 training, 5,000 validation and 10,000 test photographs, 3x32x32, normalized per channel.

    Raises
    ------
    WorkbenchError
        If it is nowhere under `WORKBENCH_DATA`, or isn't the official set.
    """
    path = _find()
    train, test = _npz(path) if path.suffix == ".npz" else _binary(path)
    for name, split in (("train", train), ("test", test)):
        if hashlib.sha256(np.ascontiguousarray(split.inputs).data).hexdigest() != SHA256[name]:
            raise WorkbenchError(f"The {name} images in {path} are not those of CIFAR-10.", "Fetch the original set.")
    train, held = hold_out(train, 5_000, seed=0)
    return Dataset(
        train=train,
        validation=held,
        test=test,
        classes=CLASSES,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        name="cifar10",
    )


def download() -> Path:
    """Fetch the original binary archive (170 MB) into the data folder, where there is a network.

    Raises
    ------
    WorkbenchError
        If it can't be reached.
    """
    import pooch  # fetching, resuming and checksums are its field

    try:
        return Path(
            pooch.retrieve(URL, known_hash=f"md5:{ARCHIVE_MD5}", fname=NAMES[2], path=_folder(), progressbar=False)
        )
    except (OSError, ValueError) as error:
        raise WorkbenchError(
            f"CIFAR-10 could not be downloaded ({type(error).__name__}).",
            f"Without a network, put {NAMES[2]} into {_folder()} by hand, or set WORKBENCH_DATA to its folder.",
        ) from error


def _folder() -> Path:
    return Path(os.environ.get("WORKBENCH_DATA") or Path.home() / ".cache" / "compression-workbench").expanduser()


def _find() -> Path:
    folder = _folder()
    for path in (folder, *(folder / name for name in NAMES)):
        if path.name in NAMES and path.exists():
            return path
    raise WorkbenchError(
        f"CIFAR-10 is not in {folder}.",
        f"Put {', '.join(NAMES)} there (or set WORKBENCH_DATA), or run `workbench data cifar10 --download`.",
    )


def _npz(path: Path) -> tuple[Split, Split]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return tuple(  # type: ignore[return-value]
                Split(arrays[f"x_{split}"], arrays[f"y_{split}"].astype(np.int64)) for split in ("train", "test")
            )
    except Exception as error:  # the readers of a damaged file raise whatever they meet
        raise WorkbenchError(
            f"{path} can't be read as CIFAR-10.", "It must hold x_train, y_train, x_test and y_test."
        ) from error


def _binary(path: Path) -> tuple[Split, Split]:
    def batch(name: str) -> np.ndarray:
        if path.is_dir():
            return np.fromfile(path / name, np.uint8).reshape(-1, 3073)
        with tarfile.open(path) as tar:
            member = tar.extractfile(f"cifar-10-batches-bin/{name}")
            return np.frombuffer(member.read() if member else b"", np.uint8).reshape(-1, 3073)

    def split(names: list[str]) -> Split:
        rows = np.concatenate([batch(name) for name in names])
        return Split(rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64))

    try:
        return split([f"data_batch_{i}.bin" for i in range(1, 6)]), split(["test_batch.bin"])
    except Exception as error:  # as above
        raise WorkbenchError(f"{path} is incomplete or damaged.", "Fetch it again.") from error
