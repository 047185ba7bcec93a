"""Every runtime that is here, at fp32 and int8, against PyTorch eager in one interleaved loop. See README.md.

With two threads and more the ratios are of wall-clock time. With one thread they may be of processor time (`--clock
cpu`): what other programs take meanwhile is not in it.
"""

import copy
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import typer
from networks import Encoder, ResNet18
from torch import nn

from workbench import Dataset, Prune, Quantize, WorkbenchError
from workbench.estimates import Estimate
from workbench.latency import Run, paired, processor_clock, wall_clock
from workbench.models import MODELS
from workbench.runtimes import RUNTIMES, Runtime
from workbench.steps.base import Context, Work

CLOCKS = {"wall": wall_clock, "cpu": processor_clock}
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet20": (lambda: MODELS["resnet20"].build(3, 10), (3, 32, 32)),
    "resnet18": (ResNet18, (3, 224, 224)),
    "encoder": (Encoder, (64, 384)),
}
HALF = Prune(ratio=0.5, round_to=16)

app = typer.Typer(help=__doc__, no_args_is_help=True)


@app.command()
def table(
    models: list[str] = ["resnet20", "resnet18", "encoder"],  # noqa: B006 (typer reads it)
    runtimes: list[str] = ["torch", "inductor", "onnxruntime", "openvino"],  # noqa: B006
    batches: list[int] = [1, 16],  # noqa: B006
    threads: list[int] = [1, 2],  # noqa: B006
    seconds: float = 8.0,
    clock: str = "wall",
) -> None:
    """Print speed-ups over eager fp32 with their 95 % intervals, a row as soon as it is known."""
    settings = [(batch, count) for batch in batches for count in threads]
    print("| model | runtime | prepared in | " + " | ".join(f"batch {b}, {t} threads" for b, t in settings) + " |")
    print("|---" * (3 + len(settings)) + "|", flush=True)
    for model in models:
        module, inputs = network(model, max(batches))
        for name in runtimes:
            for quantize in (None, Quantize()):
                row(
                    model,
                    name,
                    Work(copy.deepcopy(module), quantization=quantize),
                    module,
                    inputs,
                    settings,
                    seconds,
                    clock,
                )


@app.command()
def pruned(runtimes: list[str] = ["onnxruntime"], seconds: float = 8.0, clock: str = "wall") -> None:  # noqa: B006
    """Half of ResNet-18's channels, in multiples of 16, with fp32 and int8, batch 1, one thread."""
    module, inputs = network("resnet18", 16)
    dataset = Dataset(train=(inputs, np.arange(len(inputs)) % 2), name="noise")
    small = Work(copy.deepcopy(module))
    HALF.apply(small, Context(dataset, module))
    for name in runtimes:
        for quantize in (None, Quantize()):
            work = Work(copy.deepcopy(small.module), quantization=quantize)
            row("resnet18, half", name, work, module, inputs, [(1, 1)], seconds, clock)


@app.command()
def calibration(model: str = "resnet20", seconds: float = 4.0) -> None:
    """One network in int8 as this project calibrates it and as NNCF does (`pip install nncf`), both run by OpenVINO."""
    import nncf
    import onnx

    module, inputs = network(model, 64)
    with tempfile.TemporaryDirectory() as folder:
        floats, ours, theirs = (Path(folder, f"{name}.onnx") for name in ("floats", "ours", "theirs"))
        openvino = RUNTIMES["openvino"]
        openvino.export(Work(copy.deepcopy(module)), inputs[:2], inputs, floats)
        openvino.export(Work(copy.deepcopy(module), quantization=Quantize()), inputs[:2], inputs, ours)
        samples = nncf.Dataset([inputs[i : i + 1] for i in range(len(inputs))], lambda sample: {"input": sample})
        kind = nncf.ModelType.TRANSFORMER if model == "encoder" else None
        onnx.save(nncf.quantize(onnx.load(floats), samples, subset_size=len(inputs), model_type=kind), theirs)
        print("| batch | calibrated by | speed-up over OpenVINO fp32, wall clock | processor time | bytes |")
        print("|---|---|---|---|---|", flush=True)
        first = openvino.load(floats)
        for batch in (1, 16):
            for name, path in (("this project", ours), ("NNCF", theirs)):
                runs = (partial(session, inputs[:batch]) for session in (first, openvino.load(path)))
                timing = paired(*runs, seconds=seconds)
                wall, cpu = _told(timing.speedup), _told(timing.cpu_speedup)
                print(f"| {batch} | {name} | {wall} | {cpu} | {path.stat().st_size:,} |", flush=True)


def network(model: str, count: int) -> tuple[nn.Module, np.ndarray]:
    """A network with random weights, and so many inputs of noise, at least 16."""
    torch.manual_seed(0)
    build, shape = NETWORKS[model]
    module = build().eval()
    return module, np.random.default_rng(0).random((max(16, count), *shape), dtype=np.float32)


def row(
    model: str,
    name: str,
    work: Work,
    module: nn.Module,
    inputs: np.ndarray,
    settings: list[tuple[int, int]],
    seconds: float,
    clock: str,
) -> None:
    """Print one row: a runtime with fp32 or int8, or why there is none."""
    runtime = RUNTIMES[name]
    label = f"{name} {'int8' if work.quantization else 'fp32'}"
    with tempfile.TemporaryDirectory() as folder:
        eager, path = Path(folder, "eager.pt2"), Path(folder, f"model{runtime.suffix}")
        try:
            runtime.check(work.quantization)
            RUNTIMES["torch"].export(Work(copy.deepcopy(module)), inputs[:2], inputs, eager)
            began = time.perf_counter()
            runtime.export(work, inputs[:2], inputs, path)
        except WorkbenchError as error:
            print(f"| {model} | {label} | left out: {error.message} |", flush=True)
            return
        took = time.perf_counter() - began
        cells = [_ratio(eager, runtime, path, inputs[:b], t, seconds, clock) for b, t in settings]
    print(f"| {model} | {label} | {took:.0f} s | {' | '.join(map(_told, cells))} |", flush=True)


def _told(ratio: Estimate) -> str:
    return f"{ratio.value:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


def _ratio(
    eager: Path, runtime: Runtime, path: Path, inputs: np.ndarray, threads: int, seconds: float, clock: str
) -> Estimate:
    def load() -> tuple[Run, Run]:
        first, second = RUNTIMES["torch"].load(eager, threads), runtime.load(path, threads)
        return partial(first, inputs), partial(second, inputs)

    return paired(*load(), reload=load, seconds=seconds, clock=CLOCKS[clock]).speedup


if __name__ == "__main__":
    app()
