"""OpenVINO: another engine for the same .onnx file, in floats, in int8, or with integer weights only."""

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiling import RUNS, WARMUP, Operation, medians
from workbench.runtimes.base import Kernel, Runtime, Session
from workbench.runtimes.onnx_runtime import OnnxRuntime
from workbench.steps.base import Work

if TYPE_CHECKING:
    import openvino

    from workbench.steps.quantize import Quantize


IR = ".xml"  # of OpenVINO's own files, whose weights are in a .bin beside it


PRODUCTS = ("Convolution", "FullyConnected", "MatMul", "Deconvolution", "GroupConvolution")
LEAST = 0.0005  # milliseconds that an operation is taken to last where its clock, of whole microseconds, says 0


class OpenVinoSession(Session):
    def __init__(self, path: Path, threads: int, watched: bool = False):
        import openvino

        options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # else it would round to bfloat16 where the processor has it, unsaid
            "PERF_COUNT": watched,
        }
        core = openvino.Core()
        model = core.read_model(path) if path.suffix == IR else core.read_model(path.read_bytes())
        self._model = core.compile_model(model, "CPU", options)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        return self._model(inputs)[0]

    def trace(self, inputs: np.ndarray, runs: int) -> "list[openvino.ProfilingInfo]":
        """What was executed in so many runs, oldest first."""
        request = self._model.create_infer_request()
        found = []
        for _ in range(runs):
            request.infer(inputs)
            found += [info for info in request.get_profiling_info() if info.status == info.Status.EXECUTED]
        return found

    def sources(self) -> dict[str, list[str]]:
        """The nodes of the file that each executed one was made of, by its name."""
        nodes = self._model.get_runtime_model().get_ordered_ops()
        told = {node.get_friendly_name(): node.get_rt_info() for node in nodes}
        return {name: str(info["originalLayersNames"].value).split(",") for name, info in told.items()}


class OpenVino(Runtime):
    """Intel's engine for processors: often the fastest there for larger models; fp32, int8 static, weight-only 4 and 8.

    Its artifact is the file that ONNX Runtime would get: one file, with the scales of training that was aware of them.
    Calibrating with NNCF instead gave no faster file (see benchmarks/RESULTS.md), and it would lose those scales.
    """

    name = "openvino"
    title = "OpenVINO"
    suffix = ".onnx"
    kernels = (Kernel("static", 8, 8), Kernel("weight-only", 8, None), Kernel("weight-only", 4, None))

    def version(self) -> str | None:
        try:
            return metadata.version("openvino")
        except metadata.PackageNotFoundError:
            return None

    def install(self) -> str:
        return "pip install openvino"

    def warm_up(self) -> None:
        import openvino  # noqa: F401

        OnnxRuntime().warm_up()

    def snippet(self, filename: str) -> str:
        return (
            "import openvino  # pip install openvino\n\n"
            'exact = {"INFERENCE_PRECISION_HINT": "f32"}  # not bfloat16 where the processor has it\n'
            f'model = openvino.Core().compile_model("{filename}", "CPU", exact)\n'
            "logits = model(inputs)[0]  # float32 numpy array, batch first\n"
        )

    def safe_bits(self, quantize: "Quantize", device: str = "cpu") -> int:
        return OnnxRuntime().safe_bits(quantize, device)

    def weight_bits(self, path: Path) -> dict[str, int]:
        return OnnxRuntime().weight_bits(path)

    def profile(self, path: Path, inputs: np.ndarray, threads: int = 1, runs: int = RUNS) -> list[Operation]:
        session, known = OpenVinoSession(path, threads, watched=True), OnnxRuntime().owners(path)
        events = session.trace(inputs, WARMUP + runs)
        sources, last = session.sources(), {event.node_name: event for event in events}
        times = medians((event.node_name, event.real_time.total_seconds() * 1e3) for event in events)
        return [
            Operation(
                name,
                kind,
                _owner(sources.get(name, [name]), known) if kind.startswith(PRODUCTS) else None,
                max(milliseconds, LEAST),
                last[name].exec_type.lower().endswith(("i8", "u8")),
            )
            for name, milliseconds in times.items()
            if (kind := last[name].node_type)
        ]

    def activations(self, path: Path, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """What ONNX Runtime computes in the same file: OpenVINO fuses layers and does not show what is between."""
        return OnnxRuntime().activations(path, inputs)

    def to_ir(self, source: Path, target: Path) -> None:
        """Translate an .onnx file into OpenVINO's own format: ``target`` (.xml), and a .bin beside it."""
        import openvino

        openvino.save_model(openvino.Core().read_model(source.read_bytes()), target, compress_to_fp16=False)

    def _export(self, work: Work, example: np.ndarray, calibration: np.ndarray, path: Path) -> None:
        OnnxRuntime()._export(work, example, calibration, path)

    def _load(self, path: Path, threads: int, device: str) -> Session:
        return OpenVinoSession(path, threads)


def _owner(nodes: list[str], known: dict[str, str]) -> str | None:
    """The layer that some of these nodes of the file belong to; OpenVINO adds to their names what it did to them."""
    return next((known[name] for node in nodes if (name := node.partition("/")[0]) in known), None)
