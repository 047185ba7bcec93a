"""Studies of handed-over files, which are kept with the study, so that it can be opened again."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from workbench.disk import write, writing
from workbench.errors import WorkbenchError, lookup
from workbench.models import MODELS, fitted
from workbench.own import Handed, read_data, read_weights
from workbench.study import Study

if TYPE_CHECKING:
    from torch import nn

FACTS, WEIGHTS = "handed/handed.json", "handed/weights.safetensors"


@dataclass(frozen=True)
class Origin:
    """What a study of handed-over files was made of; the names are those that the files had."""

    data: str
    weights: str
    architecture: str
    runtime: str
    device: str
    leave_out: bool


def weights_of(architecture: str, dataset: str) -> tuple[str, bytes]:
    """Name and bytes of the shipped weights of a zoo model, for data like those that it was trained on."""
    path = lookup(MODELS, architecture, "model").weights(dataset)
    if not path.exists():
        raise WorkbenchError(f"{architecture} has no weights for '{dataset}'.", "Give weights of your own.")
    return path.name, path.read_bytes()


def open_handed(
    folder: Path, data: tuple[str, bytes], weights: tuple[str, bytes], origin: Origin
) -> tuple[Study, Handed]:
    """Make a study of files that were handed over, or go on with the one that was made of the very same.

    Parameters
    ----------
    folder : pathlib.Path
        Where studies are kept; this one gets a name made of the data's.
    data, weights : (str, bytes)
        The name of each file and what is in it.
    origin : Origin

    Raises
    ------
    WorkbenchError
        If a file is refused, or they don't fit each other.
    """
    handed, module = _read(data, weights, origin)
    told = hashlib.sha256(b"".join((data[1], weights[1], json.dumps(asdict(origin)).encode()))).hexdigest()[:8]
    stem = re.sub(r"[^\w-]+", "-", PurePosixPath(data[0]).stem)[:30].strip("-") or "data"
    path = folder / f"own-{stem}-{told}"
    study = Study(module, handed.dataset, origin.runtime, origin.device, path)
    with writing(path):
        (path / "handed").mkdir(exist_ok=True)
        write(path / _data_file(origin), data[1])
        write(path / WEIGHTS, weights[1])
        write(path / FACTS, json.dumps(asdict(origin)))
    return study, handed


def reopen(path: Path) -> Study:
    """The study in a folder, from names or from the files that were handed over for it.

    Raises
    ------
    WorkbenchError
        If there is none, or its files are gone.
    """
    if not (path / FACTS).exists():
        return Study.open(path)
    try:
        origin = Origin(**json.loads((path / FACTS).read_text(encoding="utf-8")))
        data = (origin.data, (path / _data_file(origin)).read_bytes())
        weights = (origin.weights, (path / WEIGHTS).read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise WorkbenchError(f"The files of the study in {path} are damaged.", "Hand them over again.") from error
    handed, module = _read(data, weights, origin)
    return Study(module, handed.dataset, origin.runtime, origin.device, path)


def _read(data: tuple[str, bytes], weights: tuple[str, bytes], origin: Origin) -> "tuple[Handed, nn.Module]":
    handed = read_data(*data, leave_out=origin.leave_out)
    dataset = handed.dataset
    if len(dataset.sample_shape) == 3:
        dataset = fitted(origin.architecture, dataset)
    return Handed(dataset, handed.left_out), read_weights(*weights, origin.architecture, dataset)


def _data_file(origin: Origin) -> str:
    return f"handed/data{PurePosixPath(origin.data).suffix.lower()}"
