"""What a file is that somebody hands to a runtime, told by its bytes and not by its name, and what opens it."""

import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.memory import shortage

HEAD = 4096  # bytes that are looked at, but for archives, and
LARGEST = 2**26  # of a program in one
TORCH_VERSION = re.compile(rb'"torch_version":\s*"([\w.+]+)"')
TRUST = "Give the model itself, as a torch.nn.Module, in a notebook that you trust it in."


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes
    ----------
    what : str
        ``an ONNX model``, with its version where it tells.
    runtimes : tuple of str
        Names of those that open it.
    remedy : str
        What to do with it where none does.
    """

    what: str
    runtimes: tuple[str, ...] = ()
    remedy: str = "Export the model that it was made from."

    @property
    def hint(self) -> str:
        """What to do with it."""
        named = " or ".join(f"'{name}'" for name in self.runtimes)
        return f"Choose the runtime {named} for it." if named else self.remedy


AGAIN = "Export it again."
SIGNATURES: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"WBP1", Kind("a packed file of this workbench", ("packed",))),
    (4, b"ET12", Kind("an ExecuTorch program", ("executorch",))),
    (4, b"ET", Kind("an ExecuTorch program of another version", ("executorch",))),
    (4, b"TFL3", Kind("a TensorFlow Lite model")),
    (0, b"GGUF", Kind("a GGUF file of weights")),
    (0, b"\x89HDF\r\n", Kind("an HDF5 file, as Keras writes them")),
    (0, b"\x93NUMPY", Kind("a NumPy array")),
    (0, b"\x1f\x8b", Kind("a gzip archive", remedy="Unpack it first.")),
    (0, b"version https://git-lfs", Kind("a Git LFS pointer", remedy="Run `git lfs pull` to get the file itself.")),
    (0, b"<!DOCTYPE html", Kind("a web page", remedy="Download the file itself.")),
    (0, b"<html", Kind("a web page", remedy="Download the file itself.")),
    (0, b"\x7fELF", Kind("a program or a library")),
)
PICKLE = Kind("a Python pickle, which can run any code when it is read", remedy=TRUST)
CHECKPOINT = Kind("a PyTorch checkpoint (a pickle in a zip), which can run any code when it is read", remedy=TRUST)
WEIGHTS = Kind("a safetensors file, which has weights and no model", remedy="Load them into their model first.")
IR = Kind("an OpenVINO model, whose weights are in a .bin beside it", ("openvino",))
IR_RENAMED = Kind("an OpenVINO model under another name", remedy="Name it .xml, with its .bin beside it.")
BROKEN_ZIP = Kind("a zip archive that is cut off or damaged", remedy=AGAIN)


def foreign(path: Path, runtime: str) -> WorkbenchError | None:
    """The refusal of what is no file of this runtime, before anything reads it; None where it may be one."""
    refused = f"{path.name} can't be loaded by '{runtime}':"
    if not path.exists():
        return WorkbenchError(f"{refused} it is not there.", "Give the path of a file, or export it again.")
    if path.is_dir():
        return WorkbenchError(f"{refused} it is a folder.", "Give the path of a file.")
    if not path.stat().st_size:
        return WorkbenchError(f"{refused} it is empty.", AGAIN)
    kind = kind_of(path)
    if kind is None or runtime in kind.runtimes:
        return None
    return WorkbenchError(f"{refused} it is {kind.what}.", kind.hint)


def unreadable(path: Path, runtime: str, title: str, error: Exception) -> WorkbenchError:
    """The refusal of what may be a file of this runtime, and could not be loaded for what its loader raised."""
    refused, kind = f"{path.name} can't be loaded by '{runtime}':", kind_of(path)
    if kind is None:
        return WorkbenchError(f"{refused} it is damaged, or of a kind that is not known here.", AGAIN)
    if (short := shortage(error, f"loading {path.name}")) is not None:
        return WorkbenchError(
            short,
            "Use a smaller model, or a device with more memory; a file that is small is damaged: export it again.",
        )
    return WorkbenchError(
        f"{refused} it is {kind.what}, but cut off, damaged, or of a version that {title} does not read.", AGAIN
    )


def kind_of(path: Path) -> Kind | None:
    """What a file is; None where nobody knows. Nothing in it is run."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    for start, signature, kind in SIGNATURES:
        if head[start:].startswith(signature):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return _archive(path)
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return PICKLE
    if b"<net " in head and head.lstrip().startswith(b"<"):
        return IR if path.suffix == ".xml" else IR_RENAMED
    if head[8:9] == b"{" and struct.unpack_from("<Q", head)[0] <= path.stat().st_size:
        return WEIGHTS
    if len(head) > 3 and head[0] == 0x08 and head[1] < 0x80 and head[2] & 7 in (0, 2):  # a protobuf's first two fields
        return Kind(f"an ONNX model of version {head[1]}", ("onnxruntime", "openvino"))
    return None


def _archive(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any("/data/aotinductor/" in name for name in names):
                return Kind("a package that PyTorch Inductor compiled", ("inductor",))
            program = next((name for name in names if name.endswith("/models/model.json")), None)
            if program is not None:
                small = archive.getinfo(program).file_size <= LARGEST
                by = TORCH_VERSION.search(archive.read(program)[-HEAD:]) if small else None
                made = f"a torch.export program of PyTorch {by[1].decode()}" if by else "a torch.export program"
                sparse = any(name.endswith("/extra/sparse.json") for name in names)
                return Kind(made, ("torch", "sparse") if sparse else ("torch",))
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError):
        return BROKEN_ZIP
    if any(name.endswith("/constants.pkl") for name in names):
        return Kind("a TorchScript program")
    if any(name.endswith("data.pkl") for name in names):
        return CHECKPOINT
    if names and all(name.endswith(".npy") for name in names):
        return Kind("a file of NumPy arrays")
    return Kind("a zip archive", remedy="Unpack it, and give the file of the model.")
