"""The runtimes: what executes the file that ships."""

from pathlib import Path

from workbench.errors import lookup
from workbench.runtimes.base import Kernel, Runtime, Session
from workbench.runtimes.executorch import ExecuTorch
from workbench.runtimes.inductor import Inductor
from workbench.runtimes.onnx_runtime import OnnxRuntime
from workbench.runtimes.openvino import OpenVino
from workbench.runtimes.packed import Packed
from workbench.runtimes.sparse import Sparse
from workbench.runtimes.torch_eager import TorchEager

RUNTIMES: dict[str, Runtime] = {
    runtime.name: runtime for runtime in (OnnxRuntime(), OpenVino(), ExecuTorch(), TorchEager(), Inductor(), Sparse())
}

PACKED = Packed()
"""Not a runtime to choose, but a form that an artifact can take in every study."""


def load_runtime(name: str) -> Runtime:
    """A runtime by name; raises `WorkbenchError` if there is none."""
    return lookup(RUNTIMES, name, "runtime")


def runtime_of(artifact: Path, runtime: Runtime) -> Runtime:
    """What runs an artifact of a study: the study's runtime, or what unpacks a packed file."""
    return PACKED if artifact.suffix == PACKED.suffix else runtime


__all__ = ["PACKED", "RUNTIMES", "Kernel", "Runtime", "Session", "load_runtime", "runtime_of"]
