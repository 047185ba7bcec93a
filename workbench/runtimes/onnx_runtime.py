"""ONNX Runtime: small, quick to export to, with int8 kernels; the artifact is an .onnx file."""

import contextlib
import json
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.machine import products_overflow
from workbench.profiling import RUNS, WARMUP, Operation, medians
from workbench.runtimes.base import Kernel, Runtime, Session
from workbench.runtimes.onnx_graph import name_weights, owner, owners, places, plain
from workbench.runtimes.onnx_quantizers import QUANTIZERS, narrowed
from workbench.runtimes.quiet import quiet
from workbench.steps.base import Work

if TYPE_CHECKING:
    import onnx

    from workbench.steps.quantize import Quantize

OPSET = 20
SMALLEST = 16  # values in a tensor that a packed file takes out of the graph


class OnnxSession(Session):
    def __init__(self, path: Path | bytes, threads: int, device: str, trace: Path | None = None):
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin between runs would take the processor from whatever is timed next.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
        if trace is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(trace)
        self._session = ort.InferenceSession(path, options, providers=[providers[device]])
        if self._session.get_providers()[0] != providers[device]:
            raise WorkbenchError(
                "ONNX Runtime could not start CUDA, though it is built with it.",
                "Install the CUDA and cuDNN that it asks for (https://onnxruntime.ai), or choose the device 'cpu'.",
            )
        self._input = self._session.get_inputs()[0].name

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self._input: inputs})[0]

    def every_output(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """All outputs of the graph, by name."""
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, {self._input: inputs}), strict=True))

    def trace(self) -> list[dict[str, Any]]:
        """End the profiling; the nodes that were executed, oldest first."""
        events = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        return [event for event in events if event["cat"] == "Node" and event["name"].endswith("_kernel_time")]


class OnnxRuntime(Runtime):
    """The embedded default: fp32, int8 static and dynamic, weight-only 4 and 8 bits."""

    name = "onnxruntime"
    title = "ONNX Runtime"
    suffix = ".onnx"
    devices = ("cpu", "cuda")
    mixes = ("static", "weight-only")
    floats = ("float16",)
    kernels = (
        Kernel("static", 8, 8),
        Kernel("dynamic", 8, 8),
        Kernel("weight-only", 8, None),
        Kernel("weight-only", 4, None),
    )

    def version(self) -> str | None:
        for package in ("onnxruntime", "onnxruntime-gpu"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                return metadata.version(package)
        return None

    def safe_bits(self, quantize: "Quantize", device: str = "cpu") -> int:
        return 7 if device == "cpu" and quantize.mode != "weight-only" and products_overflow() else 16

    def install(self) -> str:
        return "pip install onnxruntime onnx onnxscript"

    def devices_here(self) -> tuple[str, ...]:
        import onnxruntime as ort

        return ("cpu", "cuda") if "CUDAExecutionProvider" in ort.get_available_providers() else ("cpu",)

    def lacks(self, device: str) -> tuple[str, str]:
        return (
            f"ONNX Runtime {self.version()} is built without CUDA",
            "run `pip install onnxruntime-gpu` in place of onnxruntime",
        )

    def warm_up(self) -> None:
        import onnxruntime.quantization  # noqa: F401
        import torch.onnx  # noqa: F401

    def snippet(self, filename: str) -> str:
        return (
            "import onnxruntime as ort  # pip install onnxruntime\n\n"
            f'session = ort.InferenceSession("{filename}")\n'
            "name = session.get_inputs()[0].name\n"
            "logits = session.run(None, {name: inputs})[0]  # float32 numpy array, batch first\n"
        )

    def _load(self, path: Path, threads: int, device: str) -> Session:
        return OnnxSession(path, threads, device)

    def profile(self, path: Path, inputs: np.ndarray, threads: int = 1, runs: int = RUNS) -> list[Operation]:
        with tempfile.TemporaryDirectory() as folder:
            session = OnnxSession(path, threads, "cpu", trace=Path(folder, "trace"))
            for _ in range(WARMUP + runs):
                session(inputs)
            events = session.trace()
        last = {event["name"]: event["args"] for event in events}
        known = self.owners(path)
        return [
            Operation(plain(name), kind, owner(name, kind, known), microseconds / 1e3, _integer(last[name]))
            for name, microseconds in medians((event["name"], event["dur"]) for event in events).items()
            if (kind := last[name]["op_name"])
        ]

    def owners(self, path: Path) -> dict[str, str]:
        """The layer of each node and tensor of a file, by the names under which a profile may tell of it."""
        graph = _graph(path)
        known = owners(places(graph))
        return known | {node.name: known[name] for node in graph.node for name in node.output if name in known}

    def activations(self, path: Path, inputs: np.ndarray) -> dict[str, np.ndarray]:
        import onnx

        model = onnx.load(path)
        layers = {place.output: place.layer for place in places(model.graph)}
        ends = {value.name for value in model.graph.output}
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in layers if name not in ends)
        shown = OnnxSession(model.SerializeToString(), 1, "cpu").every_output(inputs)
        return {layer: shown[name] for name, layer in layers.items()}

    def weight_bits(self, path: Path) -> dict[str, int]:
        return {place.layer: place.bits for place in places(_graph(path))}

    def _export(self, work: Work, example: np.ndarray, calibration: np.ndarray, path: Path) -> None:
        import onnx

        onnx.save(_model(work, example, calibration), path)

    def take_apart(
        self, work: Work, example: np.ndarray, calibration: np.ndarray
    ) -> tuple[bytes, dict[str, np.ndarray]]:
        """A model as exported, but without its weights, and these by name: each as the module has it, none folded."""
        from onnx import TensorProto, numpy_helper

        model = _model(work, example, calibration, keep=True)
        weights = {}
        for tensor in model.graph.initializer:
            size = int(np.prod(tensor.dims))
            if size >= SMALLEST and tensor.data_type in (TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8):
                weights[tensor.name] = numpy_helper.to_array(tensor)
                tensor.ClearField("raw_data")
        return model.SerializeToString(deterministic=True), weights

    def put_together(self, graph: bytes, weights: dict[str, np.ndarray]) -> bytes:
        """The whole model, from what `take_apart` gave."""
        import onnx

        model = onnx.load_from_string(graph)
        for tensor in model.graph.initializer:
            if tensor.name in weights:
                tensor.raw_data = weights[tensor.name].tobytes()
        return model.SerializeToString()


def _model(work: Work, example: np.ndarray, calibration: np.ndarray, keep: bool = False) -> "onnx.ModelProto":
    import onnx

    with tempfile.TemporaryDirectory() as folder, quiet():
        plain, out = Path(folder, "plain.onnx"), Path(folder, "out.onnx")
        real = work.quantization is not None and OnnxRuntime().computes(work.quantization)
        _to_onnx(work, example, plain, keep and not real)
        _name_weights(plain)
        if work.quantization is None or not real:
            out = plain
        else:
            QUANTIZERS[work.quantization.mode](plain, out, work, calibration)
        model = onnx.load(out) if work.precision == "float32" else narrowed(out)
        _strip(model)
        return model


def _graph(path: Path) -> "onnx.GraphProto":
    import onnx

    return onnx.load(path).graph


def _integer(event: dict[str, Any]) -> bool:
    """Whether a node computes with integers; weight-only kernels turn theirs into floats first."""
    kinds = {kind for given in event["input_type_shape"] for kind in given}
    return bool(kinds & {"int8", "uint8"}) and event["op_name"] != "MatMulNBits"


def _to_onnx(work: Work, example: np.ndarray, path: Path, keep: bool = False) -> None:
    """Export the floats; `keep` folds nothing (batch-norm, a transposition) into the weights."""
    import torch

    module = work.module.to("cpu").eval()
    batch = torch.export.Dim("batch", min=1)
    program = torch.onnx.export(
        module,
        (torch.from_numpy(example),),
        input_names=["input"],
        output_names=["output"],
        opset_version=OPSET,
        dynamo=True,
        dynamic_shapes=({0: batch},),
        optimize=False,
        verbose=False,
    )
    assert program is not None  # as dynamo=True says
    graph = program.model.graph
    shape = graph.inputs[0].shape
    if shape is not None and isinstance(size := shape[0], int):  # the exporter gives in where the model allows no other
        raise ValueError(f"batch was specialized to be a constant ({size})")
    if keep:  # what is an input is no constant that the optimizer may fold
        graph.inputs.extend(graph.initializers.values())
    program.optimize()
    if keep:
        del graph.inputs[1:]
    program.save(path, external_data=False)


def _name_weights(path: Path) -> None:
    import onnx

    model = onnx.load(path)
    if name_weights(model.graph):
        onnx.save(model, path)


def _strip(model: "onnx.ModelProto") -> None:
    """Remove what only describes: it carries this machine's paths and makes equal models differ in size."""
    model.doc_string = ""
    del model.metadata_props[:]
    del model.graph.value_info[:]
    for item in (model.graph, *model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        item.doc_string = ""
        del item.metadata_props[:]
