"""The datasets that ship with the project: MNIST, and a balanced part of Fashion-MNIST with its whole test set."""

import hashlib
import json
import lzma
from io import BytesIO
from pathlib import Path

import numpy as np

from workbench.data.base import Dataset, Split, hold_out
from workbench.errors import WorkbenchError
from workbench.shipped import shipped

DIGITS = [str(digit) for digit in range(10)]
GARMENTS = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")


def mnist() -> Dataset:
    """MNIST (LeCun et al. 1998): 55,000 training, 5,000 validation and 10,000 test digits, 28x28, pixels in [0, 1]."""
    return _load("mnist", DIGITS, validation=5_000)


def fashion_mnist() -> Dataset:
    """Fashion-MNIST (Xiao et al. 2017): 27,000 training, 3,000 validation and all 10,000 test garments, 28x28."""
    return _load("fashion_mnist", GARMENTS, validation=3_000)


def checksums(name: str) -> dict[str, str]:
    """The SHA-256 of every file of a dataset that ships."""
    return json.loads((shipped(f"datasets/{name}") / "checksums.json").read_text())


def _load(name: str, classes: list[str], validation: int) -> Dataset:
    folder = shipped(f"datasets/{name}")
    sums = checksums(name)
    parts = {}
    for split in ("train", "test"):
        images, labels = (_array(folder / f"{split}-{kind}.npy.xz", sums) for kind in ("images", "labels"))
        parts[split] = Split(images[:, None], labels.astype(np.int64))
    train, held = hold_out(parts["train"], validation, seed=0)
    return Dataset(train=train, validation=held, test=parts["test"], classes=classes, name=name)


def _array(path: Path, sums: dict[str, str]) -> np.ndarray:
    packed = path.read_bytes()
    if hashlib.sha256(packed).hexdigest() != sums[path.name]:
        raise WorkbenchError(f"{path} is damaged (its checksum differs).", "Install compression-workbench again.")
    return np.load(BytesIO(lzma.decompress(packed)), allow_pickle=False)
