"""What this machine and this installation can run, and what to install for more."""

import os
import platform
import shutil
from importlib.util import find_spec

import psutil

from workbench.errors import WorkbenchError
from workbench.machine import int8_instructions, processor, processors
from workbench.runtimes import RUNTIMES


def examine() -> dict[str, list[str]]:
    """Lines of findings, by title."""
    return {"Devices": _devices(), "Runtimes": _runtimes(), "For more": _advice() or ["Nothing is missing."]}


def _devices() -> list[str]:
    import torch

    memory = psutil.virtual_memory()
    lines = [
        f"cpu: {processor()}, {processors()} of {os.cpu_count()} processors usable, "
        f"{memory.total / 2**30:.0f} GiB memory ({memory.available / 2**30:.0f} GiB free), {platform.machine()}",
        f"     int8 instructions: {', '.join(int8_instructions()) or 'none of those known; int8 may not be faster'}",
    ]
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        lines.append(f"cuda:{index}: {facts.name}, {facts.total_memory / 2**30:.0f} GiB")
    return lines if torch.cuda.is_available() else [*lines, "cuda: none"]


def _runtimes() -> list[str]:
    lines = []
    for runtime in RUNTIMES.values():
        version = runtime.version()
        if version is None:
            lines.append(f"{runtime.name}: not installed")
            continue
        kernels = "; ".join(map(str, runtime.kernels)) or "32-bit floats only"
        lines.append(f"{runtime.name} {version} on {', '.join(runtime.devices_here())}, up to {processors()} threads")
        lines.append(f"     kernels: 32-bit floats; {kernels}" if runtime.kernels else f"     kernels: {kernels}")
    return lines


def _advice() -> list[str]:
    lines = [f"{r.name}: run `{r.install()}`." for r in RUNTIMES.values() if r.version() is None]
    for runtime in RUNTIMES.values():
        try:
            runtime.check_export()
        except WorkbenchError as error:
            lines.append(f"{runtime.name}: {error}")
    if find_spec("jupyterlab") is None:
        lines.append("JupyterLab: run `pip install 'compression-workbench[lab]'`.")
    if shutil.which("nvidia-smi") and "cuda" not in RUNTIMES["torch"].devices_here():
        lines.append("There is an NVIDIA GPU, but this PyTorch is for the CPU: install its CUDA build.")
    elif "cuda" in RUNTIMES["torch"].devices_here() and "cuda" not in RUNTIMES["onnxruntime"].devices_here():
        lines.append("onnxruntime on the GPU: run `pip install onnxruntime-gpu` in place of onnxruntime.")
    return lines
