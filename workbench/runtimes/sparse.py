"""PyTorch with sparse products where they were measured to be faster; the artifact is a `torch.export` program."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workbench.profiling import RUNS, Operation
from workbench.runtimes.base import Runtime, Session
from workbench.runtimes.pickles import check_program, load_program
from workbench.runtimes.torch_eager import TorchEager, layers, operations, results, saved
from workbench.steps.base import Work

if TYPE_CHECKING:
    import torch

    from workbench.crossover import Shape

LEAST = 0.5  # share of zeros from which on it is worth measuring


class SparseSession(Session):
    def __init__(self, path: Path, threads: int):
        import torch

        from workbench.sparse_layers import load_sparse

        check_program(path)
        with warnings.catch_warnings(action="ignore"):  # PyTorch calls its sparse tensors a beta, once
            self._torch, self._threads, self._module = torch, threads, load_sparse(path)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        torch = self._torch
        if torch.get_num_threads() != self._threads:  # one setting serves the whole process
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            return self._module(torch.from_numpy(inputs)).numpy()


class Sparse(Runtime):
    """Layers with enough zeros multiply by compressed rows (CSR) or blocks (BSR); all others stay dense; each is told.

    How many are enough is measured when the file is made, for each shape of a layer, with the threads and the batch
    that the runtime is `suited` to: in a study, with its own. Zeros that come in blocks are tried both ways. N of M
    zeros (2:4) are treated as any others: PyTorch has kernels for them on some NVIDIA GPUs only.

    Parameters
    ----------
    threads, batch : int
    """

    name = "sparse"
    title = "PyTorch (sparse where faster)"
    suffix = ".pt2"

    def __init__(self, threads: int = 1, batch: int = 1):
        self.threads, self.batch = threads, batch

    def suited(self, threads: int, batch: int, device: str = "cpu") -> "Sparse":
        return Sparse(threads, batch)

    def version(self) -> str | None:
        return TorchEager().version()

    def install(self) -> str:
        return "pip install torch"

    def snippet(self, filename: str) -> str:
        return (
            "import torch  # pip install torch\n"
            "from sparse_layers import load_sparse  # the file sparse_layers.py beside this one\n\n"
            f'model = load_sparse("{filename}")\n'
            "with torch.inference_mode():\n    logits = model(torch.from_numpy(inputs))\n"
        )

    def helpers(self) -> dict[str, str]:
        from workbench import sparse_layers

        return {"sparse_layers.py": Path(sparse_layers.__file__).read_text(encoding="utf-8")}

    def _export(self, work: Work, example: np.ndarray, calibration: np.ndarray, path: Path) -> None:
        from workbench.sparse_layers import LIST

        with warnings.catch_warnings(action="ignore"):
            chosen = _chosen(work, example, self.threads, self.batch)
        path.write_bytes(saved(TorchEager().program(work, example), **{LIST: json.dumps(chosen)}))

    def _load(self, path: Path, threads: int, device: str) -> Session:
        return SparseSession(path, threads)

    def profile(self, path: Path, inputs: np.ndarray, threads: int = 1, runs: int = RUNS) -> list[Operation]:
        program, named = _program(path)
        return operations(program, named, inputs, threads, runs)

    def activations(self, path: Path, inputs: np.ndarray) -> dict[str, np.ndarray]:
        return results(*_program(path), inputs)


def _program(path: Path) -> "tuple[torch.nn.Module, dict[str, str]]":
    """The program with its sparse layers, and the layer of each node; a sparse one is named after the dense one."""
    from workbench.sparse_layers import load_sparse

    dense = layers(load_program(path).module())  # which also looks whether it may be read at all
    with warnings.catch_warnings(action="ignore"):
        program = load_sparse(path)
    nodes = {node.name for node in program.graph.nodes}  # type: ignore[union-attr]
    return program, {name if name in nodes else f"sparse_{name}": layer for name, layer in dense.items()}


def _chosen(work: Work, example: np.ndarray, threads: int, batch: int) -> dict[str, int]:
    """The weights to hold as sparse, and the size of their blocks; the work's notes say why those and no others."""
    from workbench.crossover import crossover

    chosen: dict[str, int] = {}
    dense = []
    for name, weight, shape in shapes(work.module, example[:1]):
        zeros = float((weight == 0).float().mean())
        if zeros < LEAST:
            dense.append(f"{name or 'the model'} ({zeros:.0%} zeros)")
            continue
        tried = [crossover(one, threads, batch) for one in dict.fromkeys((shape, replace(shape, block=1)))]
        best = max(tried, key=lambda found: (found.pays(zeros), found.at(zeros)))
        kind = "sparse, by blocks (BSR)" if best.shape.block > 1 else "sparse, by rows (CSR)"
        used = kind if best.pays(zeros) else "dense"
        told = " ".join(found.sentence() for found in tried)
        work.notes.append(f"{name or 'The model'} has {zeros:.0%} zeros and is computed {used}. {told}")
        if best.pays(zeros):
            chosen[f"{name}.weight".lstrip(".")] = best.shape.block
    if dense:
        work.notes.append(f"Computed dense, as fewer than {LEAST:.0%} of the weights are zeros: {', '.join(dense)}.")
    return chosen


def shapes(module: "torch.nn.Module", example: np.ndarray) -> "list[tuple[str, torch.Tensor, Shape]]":
    """Name, weight and shape of every layer that could be sparse: linear ones and plain convolutions.

    Parameters
    ----------
    module : torch.nn.Module
    example : numpy.ndarray
        One prepared input, shape (1, ...).
    """
    import torch
    from torch import nn

    from workbench.crossover import Shape
    from workbench.pruning.squares import size_of

    found, handles = {}, []
    for name, layer in module.named_modules():
        plain = isinstance(layer, nn.Conv2d) and layer.groups == 1 and not isinstance(layer.padding, str)
        if isinstance(layer, nn.Linear) or (plain and layer.padding_mode == "zeros"):

            def hook(layer: nn.Module, inputs: tuple, name: str = name) -> None:
                weight: torch.Tensor = layer.weight  # type: ignore[assignment]
                shape = Shape(tuple(weight.shape), tuple(inputs[0].shape[1:]))
                if isinstance(layer, nn.Conv2d):
                    how = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
                    shape = replace(shape, **how)  # type: ignore[arg-type]
                if torch.backends.mkl.is_available():  # whose kernels blocks need
                    shape = replace(shape, block=size_of(weight.detach()))
                found[name] = (name, weight.detach(), shape)

            handles.append(layer.register_forward_pre_hook(hook))
    try:
        with torch.inference_mode():
            module.to("cpu").eval()(torch.from_numpy(example))
    finally:
        for handle in handles:
            handle.remove()
    return list(found.values())
