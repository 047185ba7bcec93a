"""PyTorch's compiler (AOTInductor): the artifact is a package (.pt2) of machine code with the weights in it."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import time
import zipfile
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from workbench.errors import WorkbenchError
from workbench.runtimes.base import Runtime, Session
from workbench.runtimes.quiet import quiet
from workbench.runtimes.torch_eager import TorchEager
from workbench.steps.base import Work

ROOT, WRITTEN = "model", "archive"  # within the file, and within what PyTorch writes into memory
FOLDER = f"{ROOT}/data/aotinductor/model"
FORMAT = ("archive_format", "archive_version", "byteorder", ".data/version")  # what PyTorch asks of any .pt2
LIBRARY, FACTS = "wrapper.so", "wrapper_metadata.json"
EPOCH = (1980, 1, 1, 0, 0, 0)
INSTALL = defaultdict(
    lambda: "on Debian and Ubuntu `apt install g++`, on Fedora `dnf install gcc-c++`",
    darwin="`xcode-select --install`",
    win32="the Build Tools for Visual Studio",
)
"""How to come by a compiler, by platform."""
OPTIONS = {
    "freezing": True,  # weights are constants: batch normalizations fold into them, layouts are chosen once
    "cpp.dynamic_threads": True,  # else the number of threads at this moment would be compiled in
    "aot_inductor.enable_line_tables": False,
}
ON_GPU = {
    "freezing": True,
    "aot_inductor.embed_kernel_binary": True,  # else kernels would be files beside the library
    "aot_inductor.enable_line_tables": False,
}


class InductorSession(Session):
    def __init__(self, path: Path, threads: int, device: str):
        import torch._inductor

        self._torch, self._threads, self._device = torch, threads, device
        with quiet():
            self._model = torch._inductor.aoti_load_package(str(path))

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        torch = self._torch
        if torch.get_num_threads() != self._threads:  # one setting serves the whole process
            torch.set_num_threads(self._threads)
        # compiled convolutions go by the strides of dimensions of size 1 too, which may be anything in a whole array
        plain = np.ascontiguousarray(inputs).reshape(-1).reshape(inputs.shape)
        with torch.inference_mode():
            return self._model(torch.from_numpy(plain).to(self._device)).cpu().numpy()


class Inductor(Runtime):
    """Compiled by a C++ compiler when it is exported, for a minute or so; loading it needs no compiler and no pickle.

    The file runs only with the PyTorch and on the kind of processor or GPU that it was compiled with and for. It is
    machine code: load only files that you would run as programs.

    Parameters
    ----------
    device : {"cpu", "cuda"}
        What it compiles for.
    """

    name = "inductor"
    title = "PyTorch Inductor (compiled)"
    suffix = ".pt2"
    devices = ("cpu", "cuda")
    preparing_seconds = 25.0
    headers_seconds = 40.0
    """About how long compiling PyTorch's own headers takes, which is done once for all files."""

    def __init__(self, device: str = "cpu"):
        self.device = device

    def suited(self, threads: int, batch: int, device: str = "cpu") -> "Inductor":
        return Inductor(device)

    def devices_here(self) -> tuple[str, ...]:
        return TorchEager().devices_here() if find_spec("triton") else ("cpu",)

    def lacks(self, device: str) -> tuple[str, str]:
        if "cuda" in TorchEager().devices_here():
            return "its kernels for GPUs are compiled by Triton, which is not installed", "run `pip install triton`"
        return TorchEager().lacks(device)

    def version(self) -> str | None:
        return TorchEager().version()

    def install(self) -> str:
        return "pip install torch"

    def preparing(self) -> float:
        return self.preparing_seconds + (0.0 if _headers_note(self.device).exists() else self.headers_seconds)

    def check_export(self) -> None:
        if shutil.which(_compiler()) is None:
            raise WorkbenchError(
                f"The runtime 'inductor' compiles C++, and there is no compiler '{_compiler()}' here: what is compiled "
                "already can be opened, timed and run, but nothing new can be made.",
                f"Install one ({INSTALL[sys.platform]}) or name yours in the variable CXX; or choose another runtime.",
            )

    def snippet(self, filename: str) -> str:
        where, there, back = ("GPU", ".cuda()", ".cpu()") if self.device == "cuda" else ("processor", "", "")
        return (
            f"import torch  # pip install torch=={self.version()}, which compiled it for this kind of {where}\n\n"
            f'model = torch._inductor.aoti_load_package("{filename}")\n'
            f"with torch.inference_mode():\n    logits = model(torch.from_numpy(inputs){there}){back}\n"
        )

    def _export(self, work: Work, example: np.ndarray, calibration: np.ndarray, path: Path) -> None:
        import torch._inductor
        from torch.export.passes import move_to_device_pass

        started = time.perf_counter()
        cache_folder().resolve().mkdir(parents=True, exist_ok=True)  # a worker has a link to it
        with quiet(), torch.no_grad():
            program, options = TorchEager().program(work, example), OPTIONS
            if self.device != "cpu":
                program, options = move_to_device_pass(program, self.device), ON_GPU
            package = io.BytesIO()  # PyTorch ends the process where it meets a full disk
            torch._inductor.aoti_compile_and_package(program, package_path=package, inductor_configs=options)
            _repack(package, path, self.device)
        with contextlib.suppress(OSError):
            _headers_note(self.device).touch()
        work.notes.append(f"{self.title}: compiling it took {time.perf_counter() - started:.0f} s.")

    def _load(self, path: Path, threads: int, device: str) -> Session:
        _check_facts(path, device)
        return InductorSession(path, threads, device)


def cache_folder() -> Path:
    """Where Inductor keeps its headers, for all processes of a user, and the rest unless it is told otherwise."""
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    return Path(default_cache_dir())


def _headers_note(device: str) -> Path:
    """The file that lies beside PyTorch's compiled headers once these are of this PyTorch and this compiler.

    Their own names don't tell: they are made of all that went into them.
    """
    import torch

    compiler = os.path.realpath(shutil.which(_compiler()) or _compiler())
    told = f"{torch.__version__} {torch.__file__} {compiler} {device}"
    return cache_folder() / "precompiled_headers" / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}.workbench"


def _compiler() -> str:
    """The C++ compiler that Inductor calls."""
    return (os.environ.get("CXX") or "").partition(" ")[0] or ("clang++" if sys.platform == "darwin" else "g++")


def _facts(device: str) -> dict[str, str]:
    """What a file must have been compiled with and for, to run here."""
    import torch

    facts = {"PyTorch": torch.__version__, "device": device, "processor": torch.backends.cpu.get_cpu_capability()}
    if device == "cuda":
        facts["GPU"] = "compute capability {}.{}".format(*torch.cuda.get_device_capability())
    return facts


def _repack(package: io.BytesIO, path: Path, device: str) -> None:
    """The package without its sources, and without this machine's paths: what is needed to run it, and always alike."""
    with zipfile.ZipFile(package) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        contents = {f"{ROOT}/{name}": source.read(f"{WRITTEN}/{name}") for name in FORMAT}
        for name in source.namelist():
            kind = next((kind for kind in (LIBRARY, FACTS) if name.endswith(f".{kind}")), None)
            if kind is not None:
                contents[f"{FOLDER}/model.{kind}"] = _anonymous(source.read(name))
        told = json.loads(contents[f"{FOLDER}/model.{FACTS}"]) | _facts(device)
        contents[f"{FOLDER}/model.{FACTS}"] = json.dumps(told).encode()
        for name, content in contents.items():
            target.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)


def _anonymous(code: bytes) -> bytes:
    """The same code with paths, which stand in its error messages, made as long and meaningless."""
    import torch
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    for path, name in ((Path(torch.__file__).parent, b"torch"), (Path(cache_dir()), b"cache")):
        known = os.fsencode(path)
        code = code.replace(known, name + b"/" * (len(known) - len(name)))
    return code


def _check_facts(path: Path, device: str) -> None:
    """Refuse a file that would crash here, before any of its code is run."""
    with zipfile.ZipFile(path) as package:
        if (damaged := package.testzip()) is not None:
            raise ValueError(f"{damaged} is damaged")
        told = json.loads(package.read(f"{FOLDER}/model.{FACTS}"))
    told.setdefault("device", "cpu")  # as files were before there were others
    for name, here in _facts(device).items():
        if told[name] != here:
            raise WorkbenchError(
                f"{path.name} was compiled for another {name}: {told[name]}, and here is {here}.", "Export it again."
            )
