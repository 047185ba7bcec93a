"""A file of something else is refused by what it is, with what opens it; nothing in it is run."""

import copy
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from workbench import WorkbenchError
from workbench.runtimes import PACKED, RUNTIMES
from workbench.runtimes.kinds import kind_of
from workbench.steps.base import Work

INPUTS = np.zeros((2, 1, 4, 4), np.float32)
MODEL = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
LOADERS = [pytest.param(runtime, id=name) for name, runtime in [*RUNTIMES.items(), ("packed", PACKED)]]
RAN = "RAN_FROM_A_PICKLE"  # in the environment, once it was


class Runs:
    """What runs code as soon as it is unpickled."""

    def __reduce__(self) -> tuple:
        return exec, (f"import os; os.environ[{RAN!r}] = 'yes'",)


def exported(name: str) -> bytes:
    runtime, folder = PACKED if name == "packed" else RUNTIMES[name], Path(TEMPORARY[0])
    path = folder / f"{name}{runtime.suffix}"
    if not path.exists():
        runtime.export(Work(copy.deepcopy(MODEL)), INPUTS, INPUTS, path)
    return path.read_bytes()


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def rezipped(content: bytes, member: str, old: bytes, new: bytes) -> bytes:
    """The same archive, but for some bytes of one member."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return zipped(**{n: c.replace(old, new) if n.endswith(member) else c for n, c in members.items()})


PROGRAM = f"a torch.export program of PyTorch {torch.__version__}"
TRUST = "Give the model itself, as a torch.nn.Module, in a notebook that you trust it in."
FILES: dict[str, tuple[Callable[[], bytes], str, str]] = {
    # what it is: its bytes, what is said of it, and what would open it, or what to do
    "onnx": (lambda: exported("onnxruntime"), "an ONNX model of version 10", "onnxruntime openvino"),
    "pt2": (lambda: exported("torch"), PROGRAM, "torch"),
    "sparse": (lambda: exported("sparse"), PROGRAM, "torch sparse"),
    "compiled": (
        lambda: zipped(**{"model/data/aotinductor/model/model.wrapper.so": b""}),
        "a package that PyTorch Inductor compiled",
        "inductor",
    ),
    "packed": (lambda: exported("packed"), "a packed file of this workbench", "packed"),
    "pte": (lambda: b"\x3c\0\0\0ET12eh00" + bytes(64), "an ExecuTorch program", "executorch"),
    "cut off": (lambda: exported("torch")[:900], "a zip archive that is cut off or damaged", "Export it again."),
    "pickle": (lambda: pickle.dumps(Runs()), "a Python pickle, which can run any code when it is read", TRUST),
    "checkpoint": (
        lambda: written(lambda file: torch.save({"a": Runs()}, file)),
        "a PyTorch checkpoint (a pickle in a zip), which can run any code when it is read",
        TRUST,
    ),
    "old checkpoint": (
        lambda: written(lambda file: torch.save({"a": Runs()}, file, _use_new_zipfile_serialization=False)),
        "a Python pickle, which can run any code when it is read",
        TRUST,
    ),
    "script": (
        lambda: written(lambda file: torch.jit.save(torch.jit.trace(MODEL, torch.zeros(1, 1, 4, 4)), file)),
        "a TorchScript program",
        "Export the model that it was made from.",
    ),
    "zip": (lambda: zipped(readme=b"hello"), "a zip archive", "Unpack it, and give the file of the model."),
    "npz": (lambda: written(lambda file: np.savez(file, a=INPUTS)), "a file of NumPy arrays", "Export the model"),
    "npy": (lambda: written(lambda file: np.save(file, INPUTS)), "a NumPy array", "Export the model"),
    "weights": (
        lambda: safetensors.torch.save(MODEL.state_dict()),
        "a safetensors file, which has weights and no model",
        "Load them into their model first.",
    ),
    "ir": (lambda: b'<?xml version="1.0"?>\n<net name="a" version="11">', "an OpenVINO model under", "Name it .xml"),
    "tflite": (lambda: b"\x1c\0\0\0TFL3" + bytes(64), "a TensorFlow Lite model", "Export the model"),
    "gguf": (lambda: b"GGUF" + bytes(64), "a GGUF file of weights", "Export the model"),
    "keras": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(64), "an HDF5 file, as Keras writes", "Export the model"),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(64), "a gzip archive", "Unpack it first."),
    "pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer", "Run `git lfs pull`"),
    "page": (lambda: b"<!DOCTYPE html><title>404</title>", "a web page", "Download the file itself."),
    "library": (lambda: b"\x7fELF\x02\x01\x01" + bytes(64), "a program or a library", "Export the model"),
    "empty": (lambda: b"", "empty", "Export it again."),
    "noise": (lambda: b"\xff\x00" * 500, "damaged, or of a kind that is not known here", "Export it again."),
}
TEMPORARY: list[Path] = []


@pytest.fixture(scope="module", autouse=True)
def _temporary(tmp_path_factory: pytest.TempPathFactory) -> None:
    TEMPORARY[:] = [tmp_path_factory.mktemp("exported")]


@pytest.mark.parametrize("runtime", LOADERS)
@pytest.mark.parametrize("kind", FILES)
def test_a_foreign_file_is_refused_by_what_it_is_and_what_opens_it(runtime, kind: str, tmp_path: Path) -> None:
    if runtime.version() is None:
        pytest.skip(runtime.install())
    content, what, opens = FILES[kind]
    path = tmp_path / f"model{runtime.suffix}"  # whatever it is, its name says that it is of this runtime
    path.write_bytes(content())
    if runtime.name in opens.split():
        return
    os.environ.pop(RAN, None)
    with pytest.raises(WorkbenchError) as refusal:
        runtime.load(path)
    assert refusal.value.message.startswith(f"{path.name} can't be loaded by '{runtime.name}': it is {what}")
    if opens.split()[0] in (*RUNTIMES, "packed"):
        named = " or ".join(f"'{name}'" for name in opens.split())
        assert refusal.value.hint == f"Choose the runtime {named} for it."
    else:
        assert refusal.value.hint.startswith(opens)
    assert RAN not in os.environ


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        (
            "onnxruntime",
            lambda: b"\x08\x63" + exported("onnxruntime")[2:],
            "an ONNX model of version 99",
        ),
        ("torch", lambda: rezipped(exported("torch"), "model.json", b'"major": 8', b'"major": 99'), PROGRAM),
        ("onnxruntime", lambda: exported("onnxruntime")[:200], "an ONNX model of version 10"),
        ("packed", lambda: exported("packed")[:-9], "a packed file of this workbench"),
        ("executorch", lambda: b"\x3c\0\0\0ET99eh00" + bytes(64), "an ExecuTorch program of another version"),
    ],
)
def test_a_file_of_its_own_that_it_cannot_read_is_told_as_that(name: str, content, what: str, tmp_path: Path) -> None:
    runtime = PACKED if name == "packed" else RUNTIMES[name]
    if runtime.version() is None:
        pytest.skip(runtime.install())
    path = tmp_path / f"model{runtime.suffix}"
    path.write_bytes(content())
    with pytest.raises(WorkbenchError) as refusal:
        runtime.load(path)
    assert f"it is {what}, but cut off, damaged, or of a version that {runtime.title} " in refusal.value.message
    assert str(runtime.version()) in refusal.value.message
    assert refusal.value.hint == "Export it again."


@pytest.mark.parametrize("runtime", LOADERS)
def test_what_is_no_file_is_refused(runtime, tmp_path: Path) -> None:
    if runtime.version() is None:
        pytest.skip(runtime.install())
    for path, what in ((tmp_path / "none", "not there"), (tmp_path, "a folder")):
        with pytest.raises(WorkbenchError, match=f"can't be loaded by '{runtime.name}': it is {what}"):
            runtime.load(path)


def test_a_file_that_is_right_and_too_large_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(exported("onnxruntime"))
    monkeypatch.setattr(RUNTIMES["onnxruntime"], "_load", lambda *given: torch.empty(2**50))
    with pytest.raises(WorkbenchError, match=r"ran out of memory while loading model\.onnx: 4,503,600 GB") as refusal:
        RUNTIMES["onnxruntime"].load(tmp_path / "model.onnx")
    assert refusal.value.hint.startswith("Use a smaller model, or a device with more memory")


def test_an_openvino_model_is_known_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_bytes(FILES["ir"][0]())
    assert kind_of(tmp_path / "model.xml").runtimes == ("openvino",)


@pytest.mark.parametrize("name", ["onnxruntime", "torch", "sparse", "packed"])
def test_its_own_file_is_opened(name: str, tmp_path: Path) -> None:
    runtime = PACKED if name == "packed" else RUNTIMES[name]
    (tmp_path / "any-name").write_bytes(exported(name))
    assert runtime.load(tmp_path / "any-name")(INPUTS).shape == (2, 3)
