"""Data and weights that somebody hands over as files: read without running anything that is in them.

Data come as ``.npz`` (arrays ``inputs`` and ``labels``, or ``train_inputs``, ``train_labels``, ``test_inputs``,
``test_labels``; ``classes`` may name them) or as a zip of images, one folder for each class. Weights come as
``.safetensors`` for an architecture of the zoo. Nothing is unpickled, and nothing is unpacked to disk.
"""

import io
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from workbench.data import Dataset
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from torch import nn

LARGEST_FILE = 200_000_000  # bytes that are taken at all
LARGEST_CONTENT = 1_000_000_000  # bytes that a zip may unpack to: more is a bomb, or too much for one machine
MOST_IMAGES = 100_000
LARGEST_SIDE = 256  # pixels
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")  # what Pillow may try, whatever the name says
SAFE = "Give .npz with 'inputs' and 'labels', or a .zip of images with one folder for each class."


@dataclass(frozen=True)
class Handed:
    """What was read from a file.

    Attributes
    ----------
    dataset : Dataset
    left_out : list of str
        The names of files that are no readable images; only where that was asked for.
    """

    dataset: Dataset
    left_out: list[str] = field(default_factory=list)


def read_data(name: str, content: bytes, leave_out: bool = False) -> Handed:
    """A dataset from the bytes of a file.

    Parameters
    ----------
    name : str
        The file's name: its ending says what it is.
    content : bytes
    leave_out : bool
        Whether images that can't be read are left out, instead of refused.

    Raises
    ------
    WorkbenchError
        If the file is too large, damaged, of another kind, or holds what is no data; a corrupt image is named.
    """
    if len(content) > LARGEST_FILE:
        raise WorkbenchError(
            f"{name} has {len(content) / 1e6:,.0f} MB; up to {LARGEST_FILE / 1e6:.0f} MB are taken here.",
            "Give a part of it, or use wb.Dataset in a notebook.",
        )
    ending = PurePosixPath(name).suffix.lower()
    title = PurePosixPath(name).stem[:40] or "my data"
    if ending == ".npz":
        return Handed(_from_arrays(_arrays(name, content), title))
    if ending == ".zip":
        return _from_images(name, content, title, leave_out)
    raise WorkbenchError(f"{name} is no file of data that can be read safely.", SAFE)


def read_weights(name: str, content: bytes, architecture: str, dataset: Dataset) -> "nn.Module":
    """A zoo architecture with weights from the bytes of a ``.safetensors`` file, in evaluation mode.

    Parameters
    ----------
    name : str
        The file's name.
    content : bytes
    architecture : str
        A zoo model.
    dataset : Dataset
        Whose inputs and classes it is built for.

    Raises
    ------
    WorkbenchError
        If the file is no whole safetensors file, holds NaN, or is of another architecture, shape or number of classes.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from workbench.models import fresh_model

    if PurePosixPath(name).suffix.lower() != ".safetensors":
        raise WorkbenchError(
            f"{name} is no .safetensors file; other files of weights can run code when they are read.",
            "Save them with safetensors.torch.save_file(model.state_dict(), 'weights.safetensors').",
        )
    if len(content) > LARGEST_FILE:
        raise WorkbenchError(f"{name} is larger than {LARGEST_FILE / 1e6:.0f} MB.", "Use a notebook for it.")
    try:
        state = load(content)
    except (SafetensorError, ValueError, KeyError, struct.error) as error:
        raise WorkbenchError(f"{name} is damaged, or no safetensors file.", "Save the weights again.") from error
    module = fresh_model(architecture, dataset)
    _check_state(name, state, module, architecture, dataset)
    module.load_state_dict(state)
    if not all(torch.isfinite(t).all() for t in module.state_dict().values() if t.is_floating_point()):
        raise WorkbenchError(f"The weights in {name} hold NaN or infinity.", "Save the model again.")
    return module.eval()


def _check_state(name: str, state: dict, module: "nn.Module", architecture: str, dataset: Dataset) -> None:
    """Refuse what doesn't fit, with the first layer that doesn't, and its shapes."""
    wanted = module.state_dict()
    missing, unknown = [k for k in wanted if k not in state], [k for k in state if k not in wanted]
    if missing or unknown:
        said = f"lacks {missing[0]}" if missing else f"has {unknown[0]}, which it doesn't know"
        raise WorkbenchError(f"{name} is not of the architecture {architecture}: it {said}.", "Choose another one.")
    for key, tensor in wanted.items():
        if state[key].shape != tensor.shape:
            found, fits = tuple(state[key].shape), tuple(tensor.shape)
            raise WorkbenchError(
                f"{key} in {name} has shape {found}; {architecture} on these data has {fits}.",
                f"The data have {len(dataset.classes)} classes and inputs of shape {dataset.sample_shape}: "
                "give data that the model was trained for.",
            )


def _arrays(name: str, content: bytes) -> dict[str, np.ndarray]:
    with _opened(name, content) as archive:
        names = [info.filename for info in _entries(name, archive)]
    if not all(entry.endswith(".npy") for entry in names):
        raise WorkbenchError(f"{name} holds more than arrays.", "Make it with np.savez_compressed(inputs=, labels=).")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, MemoryError) as error:
        raise WorkbenchError(
            f"An array in {name} can't be read: {str(error).splitlines()[0]}.",
            "Objects are refused, as they can run code: save plain numbers.",
        ) from error


def _from_arrays(arrays: dict[str, np.ndarray], title: str) -> Dataset:
    classes = [str(c)[:60] for c in arrays["classes"]] if "classes" in arrays else []
    if {"inputs", "labels"} <= set(arrays):
        return _dataset(arrays["inputs"], arrays["labels"], classes, title)
    needed = {"train_inputs", "train_labels"}
    if not needed <= set(arrays):
        raise WorkbenchError(f"The arrays are called {', '.join(sorted(arrays)) or 'nothing'}.", SAFE)
    train = _images(arrays["train_inputs"]), arrays["train_labels"]
    test = (_images(arrays["test_inputs"]), arrays["test_labels"]) if "test_inputs" in arrays else None
    return Dataset(train=train, test=test, classes=classes, name=title)


def _images(inputs: np.ndarray) -> np.ndarray:
    """Images (N, H, W) or (N, H, W, 1 or 3) as (N, channels, H, W); everything else as it is."""
    if inputs.ndim == 3:
        return inputs[:, None]
    if inputs.ndim == 4 and inputs.shape[-1] in (1, 3) and inputs.shape[1] not in (1, 3):
        return np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
    return inputs


def _dataset(inputs: np.ndarray, labels: np.ndarray, classes: list[str], title: str) -> Dataset:
    """Shuffled once, a fifth set aside for the test split."""
    inputs, count = _images(inputs), len(labels) if labels.ndim else 0
    if count != len(inputs) or count < 10:
        raise WorkbenchError(
            f"There are {len(inputs)} inputs and {count} labels.", "Give one label for each input, and ten at least."
        )
    order = np.random.default_rng(0).permutation(count)
    test, train = order[: count // 5], order[count // 5 :]
    split = [(inputs[index], labels[index]) for index in (train, test)]
    names = classes or [str(c) for c in range(int(labels.max(initial=0)) + 1)] if labels.dtype.kind in "iu" else classes
    return Dataset(train=split[0], test=split[1], classes=names, name=title)


def _from_images(name: str, content: bytes, title: str, leave_out: bool) -> Handed:
    with _opened(name, content) as archive:
        files = [info for info in _entries(name, archive) if _is_picture(info.filename)]
        if len(files) > MOST_IMAGES:
            raise WorkbenchError(f"{name} holds {len(files):,} images.", f"Give at most {MOST_IMAGES:,}.")
        classes = sorted({PurePosixPath(info.filename).parent.name for info in files} - {""})
        if len(classes) < 2:
            raise WorkbenchError(
                f"{name} has {len(classes)} folders with images.",
                "Put the images of each class into a folder of its own.",
            )
        images, labels, left_out = [], [], []
        for info in files:
            folder = PurePosixPath(info.filename).parent.name
            try:
                images.append(_picture(archive.read(info)))
                labels.append(classes.index(folder))
            except (UnidentifiedImageError, OSError, ValueError, SyntaxError, zipfile.BadZipFile, EOFError) as error:
                left_out.append(info.filename)
                if not leave_out:
                    raise WorkbenchError(
                        f"{info.filename} in {name} is no image that can be read.",
                        "Repair or remove it, or have it left out.",
                    ) from error
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        raise WorkbenchError(
            f"The images in {name} differ in size: {shapes[0]} and {shapes[-1]} (channels, height, width).",
            "Scale them all to one size first.",
        )
    return Handed(_dataset(np.stack(images), np.array(labels), classes, title), left_out)


def _picture(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if max(image.size) > LARGEST_SIDE:  # known from the header, before anything is unpacked
            raise WorkbenchError(
                f"An image has {image.width}x{image.height} pixels.", f"Scale them to {LARGEST_SIDE} at most."
            )
        grey = image.mode in ("1", "L", "I", "I;16")
        pixels = np.asarray(image.convert("L" if grey else "RGB"), np.uint8)
    return pixels[None] if grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _is_picture(path: str) -> bool:
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return not hidden and path.lower().endswith(PICTURES)


def _opened(name: str, content: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError) as error:
        raise WorkbenchError(f"{name} is damaged, or not what its name says.", SAFE) from error


def _entries(name: str, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files in an archive, none of which leads out of it, and which together are no bomb."""
    entries = [info for info in archive.infolist() if not info.is_dir()]
    for info in entries:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0]:
            raise WorkbenchError(
                f"{name} holds the path {info.filename[:60]!r}, which leads out of it.", "Pack it again."
            )
        if info.flag_bits & 1:
            raise WorkbenchError(f"{name} is locked with a password.", "Pack it without one.")
    size = sum(info.file_size for info in entries)
    if size > LARGEST_CONTENT:
        raise WorkbenchError(
            f"{name} unpacks to {size / 1e6:,.0f} MB.", f"Give data of at most {LARGEST_CONTENT / 1e6:,.0f} MB."
        )
    return entries
