"""ExecuTorch with XNNPACK: what PyTorch runs on phones and small boards, here on this processor (.pte)."""

import json
import struct
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.runtimes.base import Kernel, Runtime, Session
from workbench.runtimes.quiet import quiet
from workbench.steps.base import Work

if TYPE_CHECKING:
    import torch

    from workbench.quantization.grid import Grid

MOST = 64  # inputs in one call: memory for so many is planned when the file is made
FACTS = "facts"
KIND = b"ET12", b"eh00"
HEADER = struct.Struct(
    "<4x4s4sIQQQ"
)  # both kinds, bytes of the header and of the program, where its weights begin, bytes


class ExecuTorchSession(Session):
    """A loaded program; it loads itself again when others have changed the number of threads.

    One pool of threads serves the whole process, and a program that was loaded before the pool was made anew would run
    into memory that is gone.
    """

    pools = 0
    """How many pools there have been."""

    def __init__(self, path: Path, threads: int):
        self._content, self._threads = path.read_bytes(), threads  # the program reads its weights from there
        self._load()

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        import torch

        if self._pool != ExecuTorchSession.pools:
            self._load()
        whole = torch.from_numpy(np.ascontiguousarray(inputs))
        parts = [self._method.execute([part])[0].numpy() for part in whole.split(MOST)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0].copy()  # the next call writes over it

    def _load(self) -> None:
        from executorch.extension.pybindings import portable_lib

        if portable_lib._threadpool_get_thread_count() != self._threads:
            portable_lib._unsafe_reset_threadpool(self._threads)
            ExecuTorchSession.pools += 1
        self._pool = ExecuTorchSession.pools
        self._program = _program(self._content)
        self._method = self._program.load_method("forward")


class ExecuTorch(Runtime):
    """PyTorch's engine for phones and small boards, with XNNPACK's kernels: fp32 and int8 static.

    The weights keep the grids of the recipe; the ranges of activations are XNNPACK's own, min-max over the calibration
    samples, as its quantizer wants those of neighbouring operations alike.
    """

    name = "executorch"
    title = "ExecuTorch (XNNPACK)"
    suffix = ".pte"
    kernels = (Kernel("static", 8, 8),)
    preparing_seconds = 20.0

    def version(self) -> str | None:
        try:
            return metadata.version("executorch")
        except metadata.PackageNotFoundError:
            return None

    def install(self) -> str:
        return "pip install executorch"

    def warm_up(self) -> None:
        from executorch import exir  # noqa: F401

    def snippet(self, filename: str) -> str:
        return (
            "import torch\nfrom executorch.runtime import Runtime  # pip install executorch\n\n"
            f'model = Runtime.get().load_program("{filename}").load_method("forward")\n'
            f"parts = torch.from_numpy(inputs).split({MOST})  # float32; it takes so many in one call at most\n"
            "logits = torch.cat([model.execute([part])[0].clone() for part in parts]).numpy()\n"
        )

    def weight_bits(self, path: Path) -> dict[str, int]:
        content = path.read_bytes()
        return dict(_facts(_program(content))["bits"])

    def _export(self, work: Work, example: np.ndarray, calibration: np.ndarray, path: Path) -> None:
        import torch
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        from workbench.quantization.folding import folded_copy

        with quiet(), torch.no_grad():
            module, grids = folded_copy(work)
            told: dict[str, Any] = {"bits": {}}
            traced = _traced(module, example)
            if work.quantization is not None and not work.quantization.simulate:
                quantized, layers = _quantized(traced.module(), grids, torch.from_numpy(calibration))
                traced, told["bits"] = _traced(quantized, example), dict.fromkeys(layers, 8)
            facts = torch.frombuffer(bytearray(json.dumps(told).encode()), dtype=torch.uint8)
            program = to_edge_transform_and_lower(
                traced, partitioner=[XnnpackPartitioner()], constant_methods={FACTS: facts}
            )
            path.write_bytes(bytes(program.to_executorch().buffer))

    def _load(self, path: Path, threads: int, device: str) -> Session:
        return ExecuTorchSession(path, threads)


def _program(content: bytes) -> Any:
    """The program in a file's content, which has to outlive it, checked from its beginning to its end."""
    from executorch.runtime import Runtime as Loader
    from executorch.runtime import Verification

    kind, header, _, _, start, size = HEADER.unpack_from(content)
    if (kind, header) != KIND or len(content) < start + size:  # the loader itself would end the process
        raise ValueError("no program, or not all of it")
    program = Loader.get().load_program(content, verification=Verification.InternalConsistency)
    _facts(program)
    return program


def _facts(program: Any) -> dict[str, Any]:
    """What the file tells of itself."""
    return json.loads(bytes(program.load_method(FACTS).execute([])[0].tolist()))


def _traced(module: "torch.nn.Module", example: np.ndarray) -> "torch.export.ExportedProgram":
    """The module as a program for up to `MOST` inputs; traced with as many, as fewer would become the bound."""
    import torch

    inputs = torch.zeros((MOST, *example.shape[1:]))
    return torch.export.export(module, (inputs,), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=MOST)},))


def _quantized(
    program: "torch.nn.Module", grids: "dict[str, Grid]", samples: "torch.Tensor"
) -> "tuple[torch.nn.Module, list[str]]":
    """The program with rounding where XNNPACK has integers, and the layers whose weights are rounded.

    Weights keep the scales of their grids; the ranges of activations are found on the samples.
    """
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    layers: list[str] = []

    class OnGrids(XNNPACKQuantizer):
        def annotate(self, model: Any) -> Any:
            model = super().annotate(model)
            for node in model.graph.nodes:
                told = node.meta.get("quantization_annotation")
                for source, spec in (told.input_qspec_map if told else {}).items():
                    if source.op == "get_attr" and spec is not None:
                        layers.append(str(source.target).rpartition(".")[0])
                        if (grid := grids.get(str(source.target))) is not None:
                            told.input_qspec_map[source] = _fixed(grid, spec)
            return model

    quantizer = OnGrids().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(program, quantizer)
    for part in samples.split(MOST):
        prepared(part)
    return convert_pt2e(prepared), layers


def _fixed(grid: "Grid", like: Any) -> Any:
    """The way to quantize a weight that keeps a grid's scales, one for each channel."""
    import torch
    from torchao.quantization.pt2e import PerChannelMinMaxObserver

    class Scales(PerChannelMinMaxObserver):
        def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:
            scale = grid.scale.reshape(-1).expand(self.min_val.numel()).clone()
            return scale, torch.zeros(len(scale), dtype=torch.int64)

    return replace(like, quant_min=grid.low, quant_max=grid.high, observer_or_fake_quant_ctr=Scales.with_args())
