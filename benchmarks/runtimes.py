"""Every runtime that is here, at fp32 and int8, against PyTorch eager in one interleaved loop. See README.md."""

import copy
import tempfile
from pathlib import Path

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from workbench import Quantize, WorkbenchError
from workbench.latency import paired
from workbench.models import MODELS
from workbench.runtimes import RUNTIMES
from workbench.steps.base import Work

SHAPES = {"lenet5": (1, 28, 28), "resnet20": (3, 32, 32)}


def main(
    models: list[str] = ["resnet20"],  # noqa: B006 (typer reads it)
    batches: list[int] = [1, 16],  # noqa: B006
    threads: list[int] = [1, 2],  # noqa: B006
    seconds: float = 8.0,
) -> None:
    """Print speed-ups over eager fp32 with their 95 % intervals; random weights run as fast."""
    table = Table(title="Speed over PyTorch eager fp32, batch x threads")
    for column in ("model", "runtime", *(f"{b} x {t}" for b in batches for t in threads)):
        table.add_column(column)
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            torch.manual_seed(0)
            module = MODELS[model].build(SHAPES[model][0], 10).eval()
            inputs = np.random.default_rng(0).random((64, *SHAPES[model]), dtype=np.float32)
            eager = Path(folder, f"{model}.pt2")
            RUNTIMES["torch"].export(Work(copy.deepcopy(module)), inputs[:2], inputs, eager)
            for name, runtime in RUNTIMES.items():
                for quantize in (None, Quantize()):
                    label, cells = f"{name} {'int8' if quantize else 'fp32'}", []
                    path = Path(folder, f"{model}-{label}{runtime.suffix}")
                    try:
                        runtime.check(quantize)
                    except WorkbenchError as error:
                        Console().print(f"{label} is left out: {error}")
                        continue
                    runtime.export(Work(copy.deepcopy(module), quantization=quantize), inputs[:2], inputs, path)
                    for batch in batches:
                        for count in threads:
                            first = RUNTIMES["torch"].load(eager, threads=count)
                            second = runtime.load(path, threads=count)
                            samples = inputs[:batch]
                            ratio = paired(
                                lambda s=first, x=samples: s(x), lambda s=second, x=samples: s(x), seconds=seconds
                            ).speedup
                            cells.append(f"{ratio.value:.2f}x [{ratio.low:.2f}-{ratio.high:.2f}]")
                    table.add_row(model, label, *cells)
    Console(width=160).print(table)


if __name__ == "__main__":
    typer.run(main)
