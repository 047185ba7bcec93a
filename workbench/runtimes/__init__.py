"""The runtimes: what executes the file that ships."""

from workbench.errors import lookup
from workbench.runtimes.base import Kernel, Runtime, Session
from workbench.runtimes.onnx_runtime import OnnxRuntime
from workbench.runtimes.torch_eager import TorchEager

RUNTIMES: dict[str, Runtime] = {runtime.name: runtime for runtime in (OnnxRuntime(), TorchEager())}


def load_runtime(name: str) -> Runtime:
    """A runtime by name; raises `WorkbenchError` if there is none."""
    return lookup(RUNTIMES, name, "runtime")


__all__ = ["RUNTIMES", "Kernel", "Runtime", "Session", "load_runtime"]
