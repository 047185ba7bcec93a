"""The packed file: weights coded in as few bytes as they take, decoded when loaded, and run by ONNX Runtime."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np

from workbench.packing import format, pack, unpack
from workbench.profiling import RUNS, Operation
from workbench.runtimes.base import Session
from workbench.runtimes.onnx_runtime import OnnxRuntime
from workbench.steps.base import Work

SNIPPET = """import onnxruntime as ort  # pip install onnxruntime onnx constriction
from unpacking import onnx_of  # the file unpacking.py beside this one

session = ort.InferenceSession(onnx_of("{filename}"))
name = session.get_inputs()[0].name
logits = session.run(None, {{name: inputs}})[0]  # float32 numpy array, batch first
"""
WHOLE = '''

import onnx  # noqa: E402


def onnx_of(path: str) -> bytes:
    """The whole .onnx file that is in a packed one."""
    with open(path, "rb") as file:
        graph, weights = unpack(file.read())
    model = onnx.load_from_string(graph)
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.raw_data = weights[tensor.name].tobytes()
    return model.SerializeToString()
'''


class Packed(OnnxRuntime):
    """What a model ships as if its weights share values, lie on a grid without kernels, or are to be small on disk."""

    name = "packed"
    title = "Packed file, run by ONNX Runtime"
    suffix = ".packed"

    def install(self) -> str:
        return f"{super().install()} constriction"

    def version(self) -> str | None:
        found = super().version()
        return found and f"{found}, constriction {metadata.version('constriction')}"

    def snippet(self, filename: str) -> str:
        return SNIPPET.format(filename=filename)

    def helpers(self) -> dict[str, str]:
        return {"unpacking.py": Path(format.__file__).read_text(encoding="utf-8") + WHOLE}

    def _export(self, work: Work, example: np.ndarray, calibration: np.ndarray, path: Path) -> None:
        graph, weights = self.take_apart(work, example, calibration)
        # -0.0 becomes 0.0, so that all zeros are one symbol: no result depends on it
        weights = {name: array + array.dtype.type(0) for name, array in weights.items()}
        scales = {name: (grid.scale.cpu().numpy(), grid.block) for name, grid in work.grids.items()}
        path.write_bytes(pack(graph, weights, scales))

    def plain(self, path: Path) -> bytes:
        """The .onnx file that is in a packed one."""
        return self.put_together(*unpack(path.read_bytes()))

    def _load(self, path: Path, threads: int, device: str) -> Session:
        with _unpacked(self, path) as plain:
            return super()._load(plain, threads, device)

    def profile(self, path: Path, inputs: np.ndarray, threads: int = 1, runs: int = RUNS) -> list[Operation]:
        with _unpacked(self, path) as plain:
            return super().profile(plain, inputs, threads, runs)

    def activations(self, path: Path, inputs: np.ndarray) -> dict[str, np.ndarray]:
        with _unpacked(self, path) as plain:
            return super().activations(plain, inputs)

    def weight_bits(self, path: Path) -> dict[str, int]:
        with _unpacked(self, path) as plain:
            return super().weight_bits(plain)


@contextmanager
def _unpacked(runtime: Packed, path: Path) -> Iterator[Path]:
    """The .onnx file that is in a packed one, for as long as it is looked at."""
    whole = runtime.plain(path)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "model.onnx")
        plain.write_bytes(whole)
        yield plain
