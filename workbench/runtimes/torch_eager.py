"""PyTorch in eager mode; the artifact is a `torch.export` program (.pt2)."""

from importlib import metadata
from pathlib import Path

import numpy as np

from workbench.runtimes.base import Runtime, Session
from workbench.steps.base import Work


class TorchSession(Session):
    def __init__(self, path: Path, threads: int, device: str):
        import torch

        self._torch = torch
        self._threads, self._device = threads, device
        self._module = torch.export.load(path).module().to(device)

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
    devices = ("cpu", "cuda")

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

    def snippet(self, filename: str) -> str:
        return (
            "import torch  # pip install torch\n\n"
            f'model = torch.export.load("{filename}").module()\n'
            "with torch.inference_mode():\n    logits = model(torch.from_numpy(inputs))\n"
        )

    def _export(self, work: Work, example: np.ndarray, calibration: np.ndarray, path: Path) -> None:
        import torch

        dynamic = ({0: torch.export.Dim("batch", min=1)},)
        module = work.module.to("cpu").eval()
        inputs = torch.zeros(example.shape)  # the archive keeps them, and the user's samples are nobody's business
        program = torch.export.export(module, (inputs,), dynamic_shapes=dynamic)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # it carries this machine's paths
        with path.open("wb") as file:  # an open file, as the archive would hold the file's name
            torch.export.save(program, file)

    def _load(self, path: Path, threads: int, device: str) -> Session:
        return TorchSession(path, threads, device)
