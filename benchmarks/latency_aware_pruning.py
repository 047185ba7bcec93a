"""Latency-aware channel pruning against uniform and global L2, at equal accuracy. See README.md."""

import copy
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
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
from workbench.measure import answers
from workbench.models import fitted, load_model
from workbench.pruning.structured import Structure
from workbench.runtimes import RUNTIMES, Session
from workbench.steps.base import Context, Work

WAYS = {
    "uniform L2": Prune(importance="l2", scope="layer"),
    "uniform L2, rounded to 8": Prune(importance="l2", scope="layer", round_to=8),
    "global L2": Prune(importance="l2", scope="global"),
    "latency-aware L2": Prune(importance="l2", scope="latency"),
}
OURS = "latency-aware L2"
LOST = (0.01, 0.02, 0.03, 0.05)


Gains = dict[tuple[float, str], Estimate]


@dataclass(frozen=True)
class Setting:
    """What all seeds have in common."""

    ratios: list[float]
    samples: int
    epochs: int
    precision: str
    runtime: str
    batch: int
    clock: Callable[[Callable[[], object]], float]


@dataclass
class Point:
    """One pruned, fine-tuned and exported model."""

    way: str
    ratio: float
    accuracy: float
    macs: float
    speedup: Estimate
    session: Session


class Bench:
    """The unpruned model of one seed as a file, and what makes and measures pruned ones beside it."""

    def __init__(self, setting: Setting, seed: int, folder: Path):
        self.setting, self.seed, self.folder = setting, seed, folder
        self.data = _data(seed, setting.samples)
        self.module = load_model("resnet20", self.data)
        self.context = Context(self.data, self.module, runtime=RUNTIMES[setting.runtime], batch=setting.batch)
        self.inputs = self.data.prepare(self.data.validation.inputs[: setting.batch])
        self.reference = self._session(Work(copy.deepcopy(self.module)))
        self.macs = count_macs(self.module, self.inputs[:1])
        self.accuracy = self._right(self.reference)

    def points(self, way: str) -> Iterator[Point]:
        """The models pruned one way, ratio by ratio."""
        structure = Structure(Work(copy.deepcopy(self.module)), WAYS[way], self.context)
        for ratio in self.setting.ratios:
            torch.manual_seed(self.seed)
            work = Work(structure.at(ratio).module)
            yield self._measured(way, ratio, work)
        for note in structure.notes:
            typer.echo(note, err=True)

    def faster(self, first: Session, second: Session) -> Estimate:
        """How much faster the second file is, timed in one loop."""
        return paired(lambda: first(self.inputs), lambda: second(self.inputs), clock=self.setting.clock).speedup

    def _measured(self, way: str, ratio: float, work: Work) -> Point:
        tuning = Finetune(epochs=self.setting.epochs, learning_rate=0.002, precision=self.setting.precision)
        tuning.apply(work, self.context)
        pruned = self._session(work)
        speedup = self.faster(self.reference, pruned)
        left = count_macs(work.module, self.inputs[:1]) / self.macs
        point = Point(way, ratio, self._right(pruned), left, speedup, pruned)
        typer.echo(f"{way} {ratio}: {point.accuracy:.4f} {left:.1%} {speedup} {_widths(work.module)}", err=True)
        return point

    def _session(self, work: Work) -> Session:
        path = self.folder / f"{len(list(self.folder.iterdir()))}{self.context.runtime.suffix}"
        self.context.runtime.export(work, self.data.prepare(self.data.calibration.inputs[:2]), self.inputs, path)
        return self.context.runtime.load(path)

    def _right(self, file: Session) -> float:
        return float((answers(file, self.data, "validation") == self.data.validation.labels).mean())


def main(
    ratios: str = "0.2,0.25,0.3,0.35,0.4,0.5,0.6",
    samples: int = 3000,
    epochs: int = 2,
    seeds: int = 3,
    precision: str = "float32",
    runtime: str = "onnxruntime",
    batch: int = 1,
    wall: bool = False,
) -> None:
    """ResNet-20 with the zoo's weights for Fashion-MNIST: prune each way, fine-tune alike, time in one run.

    Accuracy is that of the file on the 13,000 images of validation and test split together: nothing here is chosen but
    what is compared. Speed is by processor time of one thread, which other programs disturb less; with `--wall` by the
    clock on the wall. Each seed prunes anew, measures anew, and trains on other samples.
    """
    torch.set_num_threads(1)
    clock = wall_clock if wall else processor_clock
    setting = Setting(list(map(float, ratios.split(","))), samples, epochs, precision, runtime, batch, clock)
    gains: dict[tuple[float, str], list[Estimate]] = {}
    for seed in range(seeds):
        for key, gain in _one(setting, seed).items():
            gains.setdefault(key, []).append(gain)
    _over_seeds(gains, seeds)


def _data(seed: int, samples: int) -> Dataset:
    whole = load_dataset("fashion_mnist")
    assert whole.test is not None
    drawn = np.random.default_rng(seed).choice(len(whole.train), samples, replace=False)
    seen = whole.train.inputs[drawn], whole.train.labels[drawn]
    unseen = (
        np.concatenate([whole.validation.inputs, whole.test.inputs]),
        np.concatenate([whole.validation.labels, whole.test.labels]),
    )
    scaling = {"mean": whole.mean, "std": whole.std}
    return fitted("resnet20", Dataset(seen, unseen, classes=whole.classes, name="fashion_mnist", **scaling))


def _one(setting: Setting, seed: int) -> Gains:
    """All ways with one seed: by points lost and way, how much faster the latency-aware model is."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(setting, seed, Path(folder))
        points = [point for way in WAYS for point in bench.points(way)]
        _show(points, bench)
        return _head_to_head(points, bench)


def _widths(module: nn.Module) -> list[int]:
    return [layer.out_channels for layer in module.modules() if isinstance(layer, nn.Conv2d)]


def _show(points: list[Point], bench: Bench) -> None:
    unseen = len(bench.data.validation)
    unpruned = f"unpruned accuracy {bench.accuracy:.2%} of {unseen:,}"
    table = Table(title=f"ResNet-20, Fashion-MNIST, seed {bench.seed}; {unpruned}")
    for column in ("way", "ratio", "accuracy", "95 % interval", "MACs left", "speed-up", "95 % interval"):
        table.add_column(column)
    for p in points:
        interval = share_of(round(p.accuracy * unseen), unseen)
        shares = f"{p.ratio:.0%}", f"{p.accuracy:.2%}", f"{interval.low:.2%} to {interval.high:.2%}", f"{p.macs:.1%}"
        table.add_row(p.way, *shares, f"{p.speedup.value:.2f}x", f"{p.speedup.low:.2f} to {p.speedup.high:.2f}")
    Console(width=150).print(table)


def _head_to_head(points: list[Point], bench: Bench) -> Gains:
    """At each accuracy: our fastest model that keeps it against each other way's, timed in one loop."""
    table = Table(title="The fastest model that keeps the accuracy, each against ours in one loop")
    for column in ("at least", "way", "its ratio, accuracy", "ours", "ours is faster by", "95 % interval"):
        table.add_column(column)
    gains = {}
    for lost in LOST:
        level = bench.accuracy - lost
        best = {
            way: max(
                (p for p in points if p.way == way and p.accuracy >= level), key=lambda p: p.speedup.value, default=None
            )
            for way in WAYS
        }
        ours = best.pop(OURS)
        for way, other in best.items():
            told = [f"{p.ratio:.0%}, {p.accuracy:.2%}" if p else "none kept it" for p in (other, ours)]
            if ours is None or other is None:
                table.add_row(f"{level:.2%}", way, *told, "", "")
                continue
            gain = gains[lost, way] = bench.faster(other.session, ours.session)
            table.add_row(f"{level:.2%}", way, *told, f"{gain.value:.2f}x", f"{gain.low:.2f} to {gain.high:.2f}")
    Console(width=150).print(table)
    return gains


def _over_seeds(gains: dict[tuple[float, str], list[Estimate]], seeds: int) -> None:
    table = Table(title=f"How much faster the latency-aware model is at equal accuracy, {seeds} seeds")
    for column in ("points lost at most", "against", "geometric mean", "seed by seed"):
        table.add_column(column)
    for (lost, way), found in sorted(gains.items()):
        mean = np.exp(np.mean([np.log(gain.value) for gain in found]))
        table.add_row(f"{100 * lost:g}", way, f"{mean:.2f}x", "  ".join(f"{gain.value:.2f}x" for gain in found))
    Console(width=150).print(table)


if __name__ == "__main__":
    typer.run(main)
