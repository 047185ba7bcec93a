"""PyTorch in eager mode; the artifact is a `torch.export` program (.pt2)."""

import copy
import io
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.profiling import RUNS, WARMUP, Operation, medians
from workbench.runtimes.base import Runtime, Session
from workbench.runtimes.pickles import load_program
from workbench.steps.base import Work

if TYPE_CHECKING:
    import torch


class TorchSession(Session):
    def __init__(self, path: Path, threads: int, device: str):
        import torch

        self._torch = torch
        self._threads, self._device = threads, device
        self._module = load_program(path).module().to(device)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        torch = self._torch
        if torch.get_num_threads() != self._threads:  # one setting serves the whole process
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            return self._module(torch.from_numpy(inputs).to(self._device)).cpu().numpy()


class TorchEager(Runtime):
    """The framework itself: what the model costs before anything is done about it."""

    name = "torch"
    title = "PyTorch (eager)"
    suffix = ".pt2"
    devices: tuple[str, ...] = ("cpu", "cuda")
    floats: tuple[str, ...] = ("float16", "bfloat16")

    def version(self) -> str | None:
        try:
            return metadata.version("torch")
        except metadata.PackageNotFoundError:
            return None

    def install(self) -> str:
        return "pip install torch"

    def devices_here(self) -> tuple[str, ...]:
        import torch

        return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)

    def lacks(self, device: str) -> tuple[str, str]:
        import torch

        if torch.version.cuda is None:
            built = f"PyTorch {torch.__version__} is built without CUDA"
            return built, "install PyTorch for CUDA, as https://pytorch.org/get-started says"
        return "PyTorch finds no NVIDIA GPU with a driver", "see what `nvidia-smi` says"

    def snippet(self, filename: str) -> str:
        return (
            "import torch  # pip install torch\n\n"
            f'model = torch.export.load("{filename}").module()\n'
            "with torch.inference_mode():\n    logits = model(torch.from_numpy(inputs))\n"
        )

    def program(self, work: Work, example: np.ndarray) -> "torch.export.ExportedProgram":
        """The module as `torch.export` traces it, for any batch size; it tells nothing of this machine."""
        import torch

        dynamic = ({0: torch.export.Dim("batch", min=1)},)
        module = work.module.to("cpu").eval()
        if work.precision != "float32":
            module = _narrow(module, work.precision)
        inputs = torch.zeros(example.shape)  # the archive keeps them, and the user's samples are nobody's business
        program = torch.export.export(module, (inputs,), dynamic_shapes=dynamic)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # it carries this machine's paths
        return program

    def _export(self, work: Work, example: np.ndarray, calibration: np.ndarray, path: Path) -> None:
        path.write_bytes(saved(self.program(work, example)))

    def _load(self, path: Path, threads: int, device: str) -> Session:
        return TorchSession(path, threads, device)

    def profile(self, path: Path, inputs: np.ndarray, threads: int = 1, runs: int = RUNS) -> list[Operation]:
        program = load_program(path).module()
        return operations(program, layers(program), inputs, threads, runs)

    def activations(self, path: Path, inputs: np.ndarray) -> dict[str, np.ndarray]:
        program = load_program(path).module()
        return results(program, layers(program), inputs)


def saved(program: "torch.export.ExportedProgram", **extra_files: str) -> bytes:
    """The archive of a program: in memory, as PyTorch ends the process where it meets a full disk."""
    import torch

    file = io.BytesIO()
    torch.export.save(program, file, extra_files=extra_files)
    return file.getvalue()


def layers(program: "torch.nn.Module") -> dict[str, str]:
    """The layer that each convolution and matrix product of a program belongs to, by the name of its node."""
    return {node.name: layer for node in program.graph.nodes if (layer := _layer(node)) is not None}  # type: ignore[union-attr]


def operations(
    program: "torch.nn.Module", layers: dict[str, str], inputs: np.ndarray, threads: int, runs: int
) -> list[Operation]:
    """The operations of a program, run node by node and timed by PyTorch's profiler.

    Parameters
    ----------
    program : torch.fx.GraphModule
    layers : dict of str to str
        The layer that a node belongs to.
    inputs : numpy.ndarray
    threads, runs : int
    """
    import torch

    from workbench.threads import threads as with_threads

    kinds = {node.name: _kind(program, node) for node in program.graph.nodes if node.op.startswith("call")}  # type: ignore[union-attr]
    with with_threads(threads), torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        for _ in range(WARMUP + runs):
            _walk(program, inputs)
    events = ((event.name, event.time_range.elapsed_us()) for event in profiler.events() if event.name in kinds)
    return [
        Operation(name, kinds[name], layers.get(name), microseconds / 1e3)
        for name, microseconds in medians(events).items()
    ]


def results(program: "torch.nn.Module", layers: dict[str, str], inputs: np.ndarray) -> dict[str, np.ndarray]:
    """What each layer of a program gives, after its activation function, by the layer's name."""
    nodes = {node.name: node for node in program.graph.nodes}  # type: ignore[union-attr]
    shown = _walk(program, inputs)
    return {layer: shown[_end(nodes[name]).name].numpy() for name, layer in layers.items()}


def _kind(program: "torch.nn.Module", node: "torch.fx.Node") -> str:
    if node.op == "call_module":
        return type(program.get_submodule(str(node.target))).__name__
    return str(node.target).removesuffix(".default")


def _narrow(module: "torch.nn.Module", precision: str) -> "torch.nn.Module":
    """A copy that computes with narrow floats, and takes and gives wide ones."""
    import torch

    kind = getattr(torch, precision)

    class Narrow(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.narrow = copy.deepcopy(module).to(kind)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.narrow(inputs.to(kind)).to(torch.float32)

    return Narrow().eval()


def _walk(program: "torch.nn.Module", inputs: np.ndarray) -> "dict[str, torch.Tensor]":
    """Run a program node by node, each under its name in a profile; the result of each."""
    import torch

    shown = {}

    class Walk(torch.fx.Interpreter):
        def run_node(self, node: torch.fx.Node) -> Any:
            with torch.profiler.record_function(node.name):
                shown[node.name] = super().run_node(node)
            return shown[node.name]

    with torch.inference_mode():
        Walk(program).run(torch.from_numpy(inputs))
    return shown


def _layer(node: "torch.fx.Node") -> str | None:
    """The layer whose weight a convolution or matrix product uses."""
    if node.op != "call_function" or not any(word in str(node.target) for word in ("conv", "linear", "mm")):
        return None
    weights = [n.target for n in node.all_input_nodes if n.op == "get_attr" and str(n.target).endswith("weight")]
    return str(weights[0]).rpartition(".")[0].removeprefix("narrow.") if weights else None


def _end(node: "torch.fx.Node") -> "torch.fx.Node":
    """The last of what follows a layer and belongs to it: its batch normalization and activation function."""
    while len(node.users) == 1:
        (user,) = node.users
        if user.op != "call_function" or not any(word in str(user.target) for word in ("batch_norm", "relu")):
            break
        node = user
    return node
