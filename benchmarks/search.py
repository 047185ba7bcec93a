"""Search against random search, a grid, and Optuna alone: the same model, machine, knobs and wall-clock budget.

    python benchmarks/search.py --model lenet5 --dataset mnist --budget "10 min" --seeds 0,1,2 --keep found
    python benchmarks/search.py --budget "10 min" --wish size_bytes --limit accuracy_drop=0.01 --keep found

Each way has a study of its own. The hypervolume is that of all its trials, over accuracy, bytes and latency, between
the baseline with 10 points of accuracy lost and the ideal: no accuracy lost, and a hundredth of bytes and latency, each
doubling alike. "linear" is the same with bytes and latency as shares of the baseline's. "reached by ours" is when our
search had the hypervolume that a way ended with, as a share of the budget. The grid prunes every layer alike by the L2
norm, as torch-pruning does by default, trains an epoch and quantizes to int8. NNCF (where it is installed:
`pip install nncf`) quantizes the baseline's file with accuracy control on the validation split, for one allowed drop
after the other; its files are measured by the same functions. What our search measures for its predictions is part of
its time. With `--limit`, the searches are told of it, and of what to `--wish` for, and the last column is the one that
counts: the smallest file that keeps all limits. At the end: how well our search foresaw its own trials.
"""

import copy
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import util
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from workbench import Cancelled, Finetune, Prune, Quantize, Recipe, Study
from workbench.carry_out import setting
from workbench.commands.common import knob_value
from workbench.data import Dataset, load_dataset
from workbench.measure import measure
from workbench.metrics import Metrics
from workbench.search.budget import Budget
from workbench.search.goals import SCALED, Goal, hypervolume, normalized, number
from workbench.search.search import search
from workbench.steps.base import Work

Scale = Callable[[Sequence[float], Goal, Metrics], list[float]]
OBJECTIVES = ("accuracy", "size_bytes", "latency")
RATIOS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.1, 0.3, 0.5, 0.7, 0.9)
OURS, GRID, NNCF = "ours", "grid", "NNCF with accuracy control"
WAYS = {
    OURS: {"sampler": "tpe", "predicting": True},
    "Optuna alone (TPE)": {"sampler": "tpe", "predicting": False},
    "random": {"sampler": "random", "predicting": False},
    GRID: {},
    NNCF: {},
}
DROPS = (0.01, 0.0, 0.001, 0.002, 0.005, 0.02, 0.05, 0.1)
"""Allowed losses of accuracy, the default of NNCF first."""


def main(
    model: str = "lenet5",
    dataset: str = "mnist",
    budget: str = "10 min",
    seeds: Annotated[str, typer.Option(help="Seeds, as 0,1,2.")] = "0,1,2",
    samples: Annotated[int, typer.Option(help="Training samples, for slow machines; 0 is all.")] = 0,
    drop: float = 0.01,
    limit: Annotated[list[str] | None, typer.Option(help="A limit, such as accuracy_drop=0.01; repeat.")] = None,
    wish: Annotated[list[str] | None, typer.Option(help=f"What is searched for: {', '.join(OBJECTIVES)}.")] = None,
    ways: Annotated[list[str] | None, typer.Option("--way", help=f"Of: {', '.join(WAYS)}.")] = None,
    keep: Annotated[Path | None, typer.Option(help="A folder: what was found is kept, and not searched again.")] = None,
) -> None:
    """Search each way with each seed, and print the table."""
    data = load_dataset(dataset)
    if samples:
        data = replace(data, train=data.train.take(slice(samples)), test=None)
    limits = {name: number(name, value) for name, value in map(knob_value, limit or [])}
    wished = Goal.named(wish or OBJECTIVES, limits)
    table = Table(title=f"{model} on {dataset}, {budget} each, {len(data.train):,} training samples")
    columns = (
        "seed",
        "way",
        "models",
        "hypervolume",
        "ours is",
        "reached by ours",
        "linear",
        "ours is",
        "reached by ours",
    )
    within = f"smallest within {_told(limits)}" if limits else f"smallest within {100 * drop:g} points"
    for column in (*columns, within):
        table.add_column(column)
    foreseen: list[str] = []
    for seed in (int(part) for part in seeds.split(",")):
        found = {way: _kept(keep, way, model, data, budget, seed, drop, wished) for way in ways or _ways()}
        for way, result in found.items():
            row = [str(seed), way, str(len(result.points))]
            for scale in (normalized, _linear):
                row += [f"{result.volume(scale):.4f}", *_against(found.get(OURS), way, result, scale, budget)]
            table.add_row(*row, result.smallest(None if limits else drop))
            foreseen += [f"seed {seed}, {sentence}" for sentence in result.foreseen]
    Console(width=160).print(table, *foreseen, sep="\n")


class Point(BaseModel):
    """A model that was found, after so many seconds: its objectives, whether it keeps the limits, and what made it."""

    seconds: float
    values: list[float]
    kept: bool = True
    made: str = ""


class Result(BaseModel):
    """What one way came to."""

    baseline: Metrics
    points: list[Point]
    foreseen: list[str] = []

    def volume(self, scale: Scale, until: float = float("inf")) -> float:
        """The hypervolume of what was found until a time, baseline included."""
        goal = Goal.of(OBJECTIVES, None, self.baseline)
        values = [_known(goal, self.baseline, self.baseline), *(p.values for p in self.points if p.seconds <= until)]
        return hypervolume(np.array([scale(row, goal, self.baseline) for row in values]))

    def smallest(self, drop: float | None) -> str:
        """The fewest bytes of those that lose so much at most; or that keep the limits of the search, if None."""
        least = 0.0 if drop is None else self.baseline.score.value - drop
        within = [p.values[1] for p in self.points if p.values[0] >= least and p.kept]
        return f"{min(within):,.0f} bytes" if within else "none"


def _against(ours: Result | None, way: str, result: Result, scale: Scale, budget: str) -> tuple[str, str]:
    """By how much our hypervolume is more than this one, and after which share of the time ours was as much."""
    if ours is None or way == OURS:
        return "", ""
    goal, whole = result.volume(scale), Budget.of(budget).seconds or 1.0
    reached = next((p.seconds for p in ours.points if ours.volume(scale, p.seconds) >= goal), None)
    more = f"{ours.volume(scale) / goal - 1:+.1%}" if goal else "of nothing"
    return more, "never" if reached is None else f"{reached / whole:.0%}"


def _linear(values: Sequence[float], goal: Goal, baseline: Metrics) -> list[float]:
    """Objectives as shares of the baseline's, so that from half the bytes to none is as much as from all to half."""
    own = _known(goal, baseline, baseline)
    return [max(0.0, own[0] - values[0]) / SCALED, *(v / o for v, o in zip(values[1:], own[1:], strict=True))]


def _ways() -> list[str]:
    if util.find_spec("nncf"):
        return list(WAYS)
    typer.echo("NNCF is not installed, and left out.", err=True)
    return [way for way in WAYS if way != NNCF]


def _told(limits: Mapping[str, float]) -> str:
    return " ".join(f"{name}={limit:g}" for name, limit in limits.items())


def _kept(
    keep: Path | None, way: str, model: str, data: Dataset, budget: str, seed: int, drop: float, wished: Goal
) -> Result:
    """What was found before, else what is found now."""
    if keep is None:
        return _searched(way, model, data, budget, seed, drop, wished)
    wishes = [] if wished.objectives == OBJECTIVES else wished.objectives
    parts = (model, data.name, len(data.train), budget, *wishes, *filter(None, [_told(wished.limits)]), way, seed)
    name = " ".join(map(str, parts)).replace(" ", "-")
    file = keep / f"{name}.json"
    if not file.exists():
        found = _searched(way, model, data, budget, seed, drop, wished)
        keep.mkdir(parents=True, exist_ok=True)
        file.write_text(found.model_dump_json(indent=1), encoding="utf-8")
    return Result.model_validate_json(file.read_text(encoding="utf-8"))


def _searched(way: str, model: str, data: Dataset, budget: str, seed: int, drop: float, wished: Goal) -> Result:
    study = Study(model, data, path=Path(tempfile.mkdtemp(), way.replace(" ", "-")))
    baseline = study.baseline.metrics
    assert baseline is not None
    goal = Goal.of(OBJECTIVES, wished.limits, baseline)  # by which all are judged, whatever is searched for
    if way == NNCF:
        found = Result(baseline=baseline, points=_nncf(study, goal, Budget.of(budget)))
    elif way == GRID:
        found = Result(baseline=baseline, points=_grid(study, goal, Budget.of(budget), seed))
    else:
        outcome = search(study, wished.objectives, goal.limits, budget, seed=seed, **WAYS[way])  # type: ignore[arg-type]
        found = Result(baseline=baseline, points=_points(study, goal, [p.seconds for p in outcome.history[1:]]))
        found.foreseen = [c.sentence() for c in study.calibration()] if way == OURS else []
    typer.echo(
        f"seed {seed}, {way}: {found.volume(normalized):.4f}, {found.smallest(None if goal.limits else drop)}", err=True
    )
    for point in found.points:
        typer.echo(f"    {point.seconds:.0f} s: {point.values} {point.made}", err=True)
    return found


def _points(study: Study, goal: Goal, seconds: Sequence[float]) -> list[Point]:
    """The trials after the baseline that were measured, each ended after so many seconds."""
    baseline, found = study.baseline, []
    trials = [trial for trial in study.trials if trial.number != baseline.number]
    for trial, at in zip(trials, seconds, strict=True):
        values = goal.values(trial.metrics, _metrics(study)) if trial.metrics else None
        if values is not None and trial.metrics:
            kept = goal.kept(trial.metrics, _metrics(study))
            found.append(Point(seconds=at, values=values, kept=kept, made=trial.recipe.describe()))
    return found


def _metrics(study: Study) -> Metrics:
    assert study.baseline.metrics is not None
    return study.baseline.metrics


def _nncf(study: Study, goal: Goal, budget: Budget) -> list[Point]:
    """The baseline's file quantized for each allowed drop, and every file that differs measured as a trial's is."""
    import nncf
    import onnx
    import onnxruntime

    data = study.dataset
    inputs, labels = data.prepare(data.validation.inputs), data.validation.labels

    def accuracy(model: onnx.ModelProto, chosen: Iterable[int]) -> tuple[float, list[float]]:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        right = [float(session.run(None, {name: inputs[i : i + 1]})[0].argmax() == labels[i]) for i in chosen]
        return float(np.mean(right)), right

    calibrated = data.prepare(data.calibration.inputs)
    calibration = nncf.Dataset([{"input": calibrated[i : i + 1]} for i in range(len(calibrated))])
    found: list[Point] = []
    seen = set()
    for allowed in DROPS:
        if budget.left <= 0:
            break
        made = nncf.quantize_with_accuracy_control(
            onnx.load(str(study.baseline.artifact)),
            calibration_dataset=calibration,
            validation_dataset=nncf.Dataset(range(len(inputs))),
            validation_fn=accuracy,
            max_drop=allowed,
        )
        path = study.path / f"nncf-{allowed}.onnx"
        onnx.save(made, path)
        content = path.read_bytes()
        if content not in seen:
            seen.add(content)
            work = Work(copy.deepcopy(study.module))
            metrics, _ = measure(path, work, data, setting(study), baseline=study.baseline.artifact)
            values = _known(goal, metrics, _metrics(study))
            kept, at = goal.kept(metrics, _metrics(study)), time.monotonic() - budget.began
            found.append(Point(seconds=at, values=values, kept=kept, made=f"drop {allowed}"))
    return found


def _known(goal: Goal, metrics: Metrics, baseline: Metrics) -> list[float]:
    values = goal.values(metrics, baseline)
    assert values is not None
    return values


def _grid(study: Study, goal: Goal, budget: Budget, seed: int) -> list[Point]:
    seconds: list[float] = []

    def in_time(facts: dict) -> None:
        if budget.left < 0:
            raise Cancelled

    for ratio in RATIOS:
        if budget.left > 0:
            pruned = [Prune(ratio=ratio), Finetune(epochs=1)] if ratio else []
            study.run(Recipe([*pruned, Quantize()], seed), in_time)
            seconds.append(time.monotonic() - budget.began)
    return _points(study, goal, seconds)


if __name__ == "__main__":
    typer.run(main)
