"""Latency-aware channel pruning against uniform and global L2, at equal accuracy. See README.md."""

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import nn

from workbench import Dataset, Finetune, Prune
from workbench.data import load_dataset
from workbench.estimates import Estimate, share_of
from workbench.latency import paired, processor_clock, wall_clock
from workbench.macs import count_macs
from workbench.models import fitted, load_model
from workbench.pruning.structured import Structure
from workbench.runtimes import RUNTIMES, Session
from workbench.steps.base import Context, Work
from workbench.training import accuracy

WAYS = {
    "uniform L2": Prune(importance="l2", scope="layer"),
    "uniform L2, rounded to 8": Prune(importance="l2", scope="layer", round_to=8),
    "global L2": Prune(importance="l2", scope="global"),
    "latency-aware L2": Prune(importance="l2", scope="latency"),
}
OURS = "latency-aware L2"


@dataclass
class Point:
    """One pruned, fine-tuned and exported model."""

    way: str
    ratio: float
    accuracy: float
    macs: float
    speedup: Estimate
    session: Session


def main(
    ratios: str = "0.3,0.45,0.6,0.75",
    samples: int = 4000,
    epochs: int = 2,
    validation: int = 3000,
    runtime: str = "onnxruntime",
    batch: int = 1,
    wall: bool = False,
) -> None:
    """ResNet-20 with the zoo's weights for Fashion-MNIST: prune each way, fine-tune alike, time in one run.

    Speed is by processor time of one thread, which other programs disturb less; with `--wall` by the clock on the wall.
    """
    torch.set_num_threads(1)
    clock = wall_clock if wall else processor_clock
    whole = load_dataset("fashion_mnist")
    cut = {"train": samples, "validation": validation}
    splits = {name: (getattr(whole, name).inputs[:n], getattr(whole, name).labels[:n]) for name, n in cut.items()}
    scaling = {"mean": whole.mean, "std": whole.std}
    data = fitted("resnet20", Dataset(**splits, classes=whole.classes, name="fashion_mnist", **scaling))
    module = load_model("resnet20", data)
    context = Context(data, module, runtime=RUNTIMES[runtime], batch=batch)
    inputs = data.prepare(data.validation.inputs[:batch])
    points: list[Point] = []
    with tempfile.TemporaryDirectory() as folder:

        def session(work: Work) -> Session:
            path = Path(folder, f"{len(list(Path(folder).iterdir()))}{context.runtime.suffix}")
            context.runtime.export(work, data.prepare(data.calibration.inputs[:2]), inputs, path)
            return context.runtime.load(path)

        reference = session(Work(copy.deepcopy(module)))
        macs = count_macs(module, inputs[:1])
        base = accuracy(module, data, data.validation)
        for way, step in WAYS.items():
            structure = Structure(Work(copy.deepcopy(module)), step, context)
            for ratio in map(float, ratios.split(",")):
                torch.manual_seed(0)
                work = Work(structure.at(ratio).module)
                Finetune(epochs=epochs, learning_rate=0.002).apply(work, context)
                pruned = session(work)
                timing = paired(lambda: reference(inputs), lambda p=pruned: p(inputs), clock=clock)
                reached = accuracy(work.module, data, data.validation)
                left = count_macs(work.module, inputs[:1]) / macs
                points.append(Point(way, ratio, reached, left, timing.speedup, pruned))
                typer.echo(f"{way} {ratio}: {reached:.4f} {left:.1%} {timing.speedup} {_widths(work.module)}", err=True)
            for note in structure.notes:
                typer.echo(note, err=True)

        _show(points, base, validation)
        _head_to_head(points, base, inputs, clock)


def _widths(module: nn.Module) -> list[int]:
    return [layer.out_channels for layer in module.modules() if isinstance(layer, nn.Conv2d)]


def _show(points: list[Point], base: float, validation: int) -> None:
    table = Table(title=f"ResNet-20, Fashion-MNIST; unpruned accuracy {base:.2%} of {validation}")
    for column in ("way", "ratio", "accuracy", "95 % interval", "MACs left", "speed-up", "95 % interval"):
        table.add_column(column)
    for p in points:
        interval = share_of(round(p.accuracy * validation), validation)
        shares = f"{p.ratio:.0%}", f"{p.accuracy:.2%}", f"{interval.low:.2%} to {interval.high:.2%}", f"{p.macs:.1%}"
        table.add_row(p.way, *shares, f"{p.speedup.value:.2f}x", f"{p.speedup.low:.2f} to {p.speedup.high:.2f}")
    Console().print(table)


def _head_to_head(points: list[Point], base: float, inputs: object, clock: Callable) -> None:
    """At each accuracy that every way reaches: our fastest model that keeps it against each other's, in one loop."""
    table = Table(title="The fastest model that keeps the accuracy, each against ours in one loop")
    for column in ("at least", "way", "its ratio, accuracy", "ours", "ours is faster by", "95 % interval"):
        table.add_column(column)
    for lost in (0.01, 0.02, 0.03, 0.05):
        level = base - lost
        best = {
            way: max(
                (p for p in points if p.way == way and p.accuracy >= level), key=lambda p: p.speedup.value, default=None
            )
            for way in WAYS
        }
        ours = best.pop(OURS)
        for way, other in best.items():
            if ours is None or other is None:
                told = f"{other.ratio:.0%}, {other.accuracy:.2%}" if other else "none kept it"
                table.add_row(f"{level:.2%}", way, told, f"{ours.ratio:.0%}" if ours else "none kept it", "", "")
                continue
            gain = paired(lambda o=other: o.session(inputs), lambda o=ours: o.session(inputs), clock=clock).speedup
            told = f"{other.ratio:.0%}, {other.accuracy:.2%}"
            own = f"{ours.ratio:.0%}, {ours.accuracy:.2%}"
            table.add_row(f"{level:.2%}", way, told, own, f"{gain.value:.2f}x", f"{gain.low:.2f} to {gain.high:.2f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
