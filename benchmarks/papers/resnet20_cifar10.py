"""CIFAR-10 ResNet-20 from a published checkpoint: int8, four bits, and half the multiplications.

The checkpoint is a file that you name: a `torch.save` of a state dict (or of a dict that holds one) of the ResNet-20
of He et al. 2016 with parameter-free shortcuts, trained with images normalized by ImageNet's means and deviations.
CIFAR-10 lies under `WORKBENCH_DATA`. Accuracies are of the artifact, on the 10,000 test images, opened once for each
row. The checkpoint was trained on all 50,000 training images, so that its accuracy on the validation split says
nothing; nothing was chosen by the test split either.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import workbench as wb
from workbench.data import load_dataset

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TITLES = {
    "int8": "8-bit weights and activations, static",
    "nearest4": "4-bit weights, 8-bit activations, to the nearest",
    "gptq4": "the same, GPTQ",
    "adaround4": "the same, AdaRound",
    "mixed4": "an average of 4 bits, by integer program, GPTQ",
    "qat4": "4-bit weights, 8-bit activations, trained (LSQ)",
    "qat44": "4-bit weights and activations, trained (LSQ)",
    "half": "half the multiplications, channels by L2",
}
PUBLISHED = {
    "int8": "within 0.3 points of fp32",
    "gptq4": "within 1 point of fp32",
    "qat4": "within 1 point of fp32",
    "qat44": "within 1 point of fp32",
    "half": "ResNet-56 at 2.1x: -0.60 (group L1) to +0.38 points (DepGraph)",
}
"""Goals, and for half the MACs what torch-pruning's own benchmark tells of ResNet-56 after 100 epochs and more."""
TRAINED = ("qat4", "qat44", "half")  # the other rows have no chance in them


class Block(nn.Module):
    """Two convolutions; the shortcut takes every other pixel and pads the new channels with zeros."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.wider = outputs - inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 2 if self.wider else 1, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.wider:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.wider // 2, self.wider // 2))
        return F.relu(y + x)


class ResNet20(nn.Module):
    """Named as published checkpoints have it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
        blocks = [Block(inputs, outputs) for inputs, outputs in zip(widths, widths[1:], strict=False)]
        self.layer1, self.layer2, self.layer3 = (nn.Sequential(*blocks[i : i + 3]) for i in (0, 3, 6))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def published(path: Path) -> nn.Module:
    """The network with the weights of a checkpoint."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    state = saved.get("state_dict", saved)
    module = ResNet20()
    module.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    return module.eval()


def recipes(epochs: int, seed: int) -> dict[str, wb.Recipe]:
    """What each row does."""
    four = {"weight_bits": 4, "simulate": True, "calibration_samples": 512}
    after = {"optimizer": "sgd", "augment": "shift+flip", "weight_decay": 1e-4, "precision": "fastest"}
    return {
        "int8": wb.Recipe([wb.Quantize()]),
        "nearest4": wb.Recipe([wb.Quantize(**four)]),
        "gptq4": wb.Recipe([wb.Quantize(**four, rounding="gptq", bias_correction=True)]),
        "adaround4": wb.Recipe([wb.Quantize(**four, rounding="adaround", bias_correction=True)]),
        "mixed4": wb.Recipe([wb.Quantize(**four, rounding="gptq", bias_correction=True, average_bits=4.0)]),
        "qat4": wb.Recipe([wb.Quantize(**four), wb.Finetune(epochs=epochs, learning_rate=0.01, **after)], seed=seed),
        "qat44": wb.Recipe(
            [
                wb.Quantize(**four, activation_bits=4, keep_ends=True),
                wb.Finetune(epochs=epochs, learning_rate=0.01, **after),
            ],
            seed=seed,
        ),
        "half": wb.Recipe(
            [wb.Prune(target="macs", keep=0.5), wb.Finetune(epochs=epochs, learning_rate=0.02, **after)], seed=seed
        ),
    }


def main(
    checkpoint: Annotated[Path, typer.Argument(help="The published weights.", exists=True)],
    rows: Annotated[list[str] | None, typer.Option("--row", help=f"Of: {', '.join(TITLES)}.")] = None,
    epochs: Annotated[int, typer.Option(help="Epochs of the rows that train.", min=1, max=5)] = 5,
    seeds: Annotated[int, typer.Option(help="Seeds of the rows that train.", min=1)] = 1,
    samples: Annotated[int, typer.Option(help="Training images to take at most.", max=45_000)] = 45_000,
    path: Annotated[Path, typer.Option(help="Where the study is kept.")] = Path("runs/resnet20-cifar10-published"),
) -> None:
    """Carry out and measure each row; what a study has done already is not done again."""
    data = load_dataset("cifar10")
    data = replace(data, train=(data.train.inputs[:samples], data.train.labels[:samples]), mean=MEAN, std=STD)
    study = wb.Study(published(checkpoint), data, path=path)
    before = study.test(study.baseline)
    print(f"fp32, as published: {before.accuracy}, {before.macs:,} MACs, {before.size_bytes:,} bytes", flush=True)
    known = {trial.recipe.hash: trial for trial in study.trials if trial.state == "complete"}
    table = Table(title=f"ResNet-20 on CIFAR-10, {epochs} epochs of {samples:,} images where trained")
    for column in ("row", "seed", "goal, or published", "test accuracy", "against fp32", "MACs", "bytes", "speed"):
        table.add_column(column)
    for row in rows or TITLES:
        for seed in range(seeds if row in TRAINED else 1):
            recipe = recipes(epochs, seed)[row]
            trial = known.get(recipe.hash) or study.run(recipe)
            told = TITLES[row], str(seed) if row in TRAINED else "", PUBLISHED.get(row, "")
            if trial.metrics is None:
                table.add_row(*told, f"{trial.state}: {trial.reason}")
                continue
            metrics = study.test(trial)
            lost = f"{100 * (metrics.accuracy.value - before.accuracy.value):+.2f} points"
            cost = f"{metrics.macs / before.macs:.0%}", f"{metrics.size_bytes:,}"
            speed = str(metrics.speedup) if metrics.speedup else "not claimed"
            table.add_row(*told, str(metrics.accuracy), lost, *cost, speed)
        trained = f" --epochs {epochs} --seeds {seeds}" if row in TRAINED else ""
        print(f"{row}: python benchmarks/papers/resnet20_cifar10.py CHECKPOINT --row {row}{trained}", flush=True)
    Console(width=200).print(table)


if __name__ == "__main__":
    typer.run(main)
