"""How long a user waits: for an import, for a measured point, for the page. See README.md."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from workbench.estimates import median_of

app = typer.Typer(help=__doc__, no_args_is_help=True)


def compare(
    title: str, ours: tuple[str, Callable[[], float]], peer: tuple[str, Callable[[], float]], runs: int
) -> None:
    """Run both in turn and print their medians in seconds and the ratio ours / peer."""
    seconds = np.empty((2, runs))
    for run in range(runs):
        for which in (0, 1) if run % 2 == 0 else (1, 0):
            seconds[which, run] = (ours, peer)[which][1]()
    table = Table(title=f"{title} ({runs} runs each, in turn)")
    for column in ("", "median", "95 % interval"):
        table.add_column(column)
    for (name, _), values in zip((ours, peer), seconds, strict=True):
        estimate = median_of(values)
        table.add_row(name, f"{estimate.value:.3f} s", f"{estimate.low:.3f} to {estimate.high:.3f} s")
    ratio = median_of(seconds[0] / seconds[1])
    table.add_row("ratio", f"{ratio.value:.3f}", f"{ratio.low:.3f} to {ratio.high:.3f}")
    Console().print(table)


def timed(action: Callable[[], object]) -> Callable[[], float]:
    def run() -> float:
        start = time.perf_counter()
        action()
        return time.perf_counter() - start

    return run


@app.command()
def imports(runs: int = 9) -> None:
    """`import workbench` against `import torch`, each in a fresh process."""

    def fresh(code: str) -> Callable[[], float]:
        return timed(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    compare("Import", ("workbench", fresh("import workbench")), ("torch", fresh("import torch")), runs)


@app.command()
def run(runs: int = 7) -> None:
    """From Run to the measured point, in a warm worker, against the bare libraries by hand, also warm."""
    import workbench as wb
    from workbench.workers import LocalWorkers

    with tempfile.TemporaryDirectory() as folder:
        study = wb.Study("lenet5", "mnist", path=folder)
        workers = LocalWorkers()
        recipe = wb.Recipe([wb.Prune(ratio=0.5), wb.Quantize()])

        def point() -> None:
            trial = workers.submit(study, recipe).result()
            assert trial.metrics, trial.reason

        point()  # the baseline, and all imports of the worker
        by_hand = _by_hand()
        by_hand()
        compare(
            "LeNet-5, prune + int8, to the result",
            ("workbench: with parity, interval and paired timing", timed(point)),
            ("by hand: prune, export, quantize, evaluate", timed(by_hand)),
            runs,
        )
        workers.close()


def _by_hand() -> Callable[[], None]:
    """The same compression written straight against torch-pruning and ONNX Runtime."""
    import onnxruntime as ort
    import torch
    import torch_pruning as tp
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from workbench.data import load_dataset
    from workbench.models import load_model

    data = load_dataset("mnist")
    calibration = data.prepare(data.calibration.inputs[:256])
    validation = data.prepare(data.validation.inputs)

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(np.array_split(calibration, 8))

        def get_next(self) -> dict | None:
            batch = next(self.batches, None)
            return None if batch is None else {"input": batch}

    def action() -> None:
        module = load_model("lenet5", data)
        example = torch.from_numpy(calibration[:2])
        importance = tp.importance.GroupMagnitudeImportance(p=2)
        tp.pruner.BasePruner(
            module, example, importance=importance, pruning_ratio=0.5, ignored_layers=[module.get_submodule("fc2")]
        ).step()
        with tempfile.TemporaryDirectory() as folder:
            plain, ready, small = (Path(folder, f"{name}.onnx") for name in ("plain", "ready", "small"))
            torch.onnx.export(
                module,
                (example,),
                plain,
                input_names=["input"],
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                external_data=False,
                verbose=False,
            )
            quant_pre_process(plain, ready, skip_symbolic_shape=True)
            quantize_static(
                ready,
                small,
                Reader(),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            session = ort.InferenceSession(small)
            for start in range(0, len(validation), 250):
                session.run(None, {"input": validation[start : start + 250]})

    return action


@app.command(name="app")
def app_start(runs: int = 3) -> None:
    """From the server's start to the first usable control, against Voila with one button on the page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        single = Path(folder, "single.ipynb")
        single.write_text(json.dumps(SINGLE))

        def until_usable(command: list[str], port: int) -> float:
            start = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
            )
            page = browser.new_page()
            while True:
                try:
                    page.goto(f"http://127.0.0.1:{port}/", timeout=120_000)
                    break
                except Exception:  # the server is not up yet
                    assert process.poll() is None
                    time.sleep(0.05)
            page.locator("button:enabled", has_text="Run").wait_for(timeout=240_000)
            taken = time.perf_counter() - start
            page.close()
            process.terminate()
            process.wait()
            return taken

        ours = ["workbench.cli", "app", "--no-browser", "--port", "8971", "--path", os.path.join(folder, "runs")]
        peer = ["voila", str(single), "--no-browser", "--port=8972"]
        compare(
            "Server start to the first usable control",
            ("workbench app", lambda: until_usable(ours, 8971)),
            ("voila, one button", lambda: until_usable(peer, 8972)),
            runs,
        )
        browser.close()


SINGLE = {
    "cells": [
        {
            "cell_type": "code",
            "id": "single",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": "import ipywidgets\nipywidgets.Button(description='Run')",
        }
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}

if __name__ == "__main__":
    app()
