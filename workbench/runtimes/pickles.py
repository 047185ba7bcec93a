"""Whether a `torch.export` program can be read without running code: PyTorch itself unpickles what it finds in one."""

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    import torch

OBJECTS = ("custom_obj_", "opaque_obj_")  # constants that are no tensors
OLD = "serialized_"  # members of archives as they were before PyTorch 2.8, read in another way


def load_program(path: Path) -> "torch.export.ExportedProgram":
    """A program from its file; raises as `check_program` does."""
    import torch

    check_program(path)
    return torch.export.load(path)


def check_program(path: Path) -> None:
    """Refuse a file that could run code when `torch.export.load` reads it.

    Raises
    ------
    WorkbenchError
        If it holds a pickle of more than tensors, or machine code; none of it is run.
    """
    import torch

    with zipfile.ZipFile(path) as archive:
        for name in _pickles(archive):
            try:
                torch.load(io.BytesIO(archive.read(name)), map_location="cpu", weights_only=True)
            except Exception as error:  # whatever it is, PyTorch would go on to run it
                raise _refused(path, name) from error


def _pickles(archive: zipfile.ZipFile) -> list[str]:
    """The members that PyTorch unpickles; a refusal of those that can't be known to be harmless."""
    names, path = archive.namelist(), Path(archive.filename or "")
    if len({name.lower() for name in names}) < len(names):  # the one that is looked at may not be the one that is read
        raise _refused(path, "two files of one name")
    if odd := [n for n in names if "/aotinductor/" in n or Path(n).name.startswith(OLD)]:
        raise _refused(path, odd[0])
    found = [name for name in names if name.lower().endswith(".pt")]
    for config in (name for name in names if name.lower().endswith("_config.json")):
        for entry in json.loads(archive.read(config))["config"].values():
            name = f"{config.rpartition('/')[0]}/{entry['path_name']}"
            if entry["path_name"].startswith(OBJECTS) or "/" in entry["path_name"]:
                raise _refused(path, name)
            found += [name] if entry["use_pickle"] else []
    return found


def _refused(path: Path, name: str) -> WorkbenchError:
    return WorkbenchError(
        f"{path.name} holds what could run code when it is read: {name}.",
        "Export it again from the model itself.",
    )
