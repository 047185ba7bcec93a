"""Search against random search, a grid, and Optuna alone: the same model, machine, knobs and wall-clock budget.

    python benchmarks/search.py --model lenet5 --dataset mnist --budget "10 min" --seeds 3

Each way has a study of its own. The hypervolume is that of all its trials, over accuracy, bytes and latency, between
the ideal and the baseline with 10 points of accuracy lost; "reaches" is the time until our search had the hypervolume
that the best of the others ended with, as a share of the budget. The grid prunes every layer alike by the L2 norm, as
torch-pruning does by default, trains an epoch and quantizes to int8. NNCF (where it is installed: `pip install nncf`)
quantizes the baseline's file with accuracy control on the validation split, for one allowed drop after the other; its
files are measured by the same functions. What our search measures for its predictions is part of its time. At the end:
how well our search foresaw its own trials.
"""

import copy
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from importlib import util
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from workbench import Cancelled, Finetune, Prune, Quantize, Recipe, Study
from workbench.carry_out import setting
from workbench.data import Dataset, load_dataset
from workbench.measure import measure
from workbench.metrics import Metrics
from workbench.search.budget import Budget
from workbench.search.goals import QUANTITIES, Goal, hypervolume, normalized
from workbench.search.outcome import Outcome, Progress, volume
from workbench.search.search import search
from workbench.steps.base import Work

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
    seeds: int = 3,
    samples: int = 0,
    drop: float = 0.01,
    ways: Annotated[list[str] | None, typer.Option("--way", help=f"Of: {', '.join(WAYS)}.")] = None,
) -> None:
    """Search each way with each seed, and print the table; `samples` cuts the training set, for slow machines."""
    data = load_dataset(dataset)
    if samples:
        data = replace(data, train=data.train.take(slice(samples)), test=None)  # type: ignore[arg-type]
    table = Table(title=f"{model} on {dataset}, {budget} each, {len(data.train):,} training samples")
    for column in ("seed", "way", "trials", "hypervolume", f"smallest within {100 * drop:g} points", "reaches"):
        table.add_column(column)
    foreseen: list[str] = []
    for seed in range(seeds):
        found = {way: _searched(way, model, data, budget, seed, drop) for way in ways or _ways()}
        others = [result.hypervolume for way, result in found.items() if way != OURS]
        for way, result in found.items():
            reached = _reached(result.history, max(others), budget) if way == OURS and others else ""
            table.add_row(str(seed), way, str(result.models), f"{result.hypervolume:.4f}", result.smallest, reached)
            foreseen += [f"seed {seed}, {sentence}" for sentence in result.foreseen]
    Console(width=140).print(table, *foreseen, sep="\n")


@dataclass
class Result:
    """What one way came to."""

    models: int
    hypervolume: float
    smallest: str
    history: list[Progress]
    foreseen: list[str] = field(default_factory=list)


def _ways() -> list[str]:
    if util.find_spec("nncf"):
        return list(WAYS)
    typer.echo("NNCF is not installed, and left out.", err=True)
    return [way for way in WAYS if way != NNCF]


def _searched(way: str, model: str, data: Dataset, budget: str, seed: int, drop: float) -> Result:
    study = Study(model, data, path=Path(tempfile.mkdtemp(), way.replace(" ", "-")))
    assert study.baseline.metrics is not None
    goal = Goal.of(OBJECTIVES, None, study.baseline.metrics)
    if way == NNCF:
        found = _nncf(study, goal, Budget.of(budget), drop)
    elif way == GRID:
        found = _result(_grid(study, goal, Budget.of(budget), seed), drop)
    else:
        found = _result(search(study, OBJECTIVES, None, budget, seed=seed, **WAYS[way]), drop)  # type: ignore[arg-type]
        found.foreseen = [c.sentence() for c in study.calibration()] if way == OURS else []
    typer.echo(f"seed {seed}, {way}: {found.hypervolume:.4f} with {found.models} models", err=True)
    for trial in study.trials:
        typer.echo(f"    {trial!r}", err=True)
    return found


def _nncf(study: Study, goal: Goal, budget: Budget, drop: float) -> Result:
    """The baseline's file quantized for each allowed drop, and every file that differs measured as a trial's is."""
    import nncf
    import onnx
    import onnxruntime

    data, baseline = study.dataset, study.baseline.metrics
    assert baseline is not None
    inputs, labels = data.prepare(data.validation.inputs), data.validation.labels

    def accuracy(model: onnx.ModelProto, chosen: Iterable[int]) -> tuple[float, list[float]]:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        right = [float(session.run(None, {name: inputs[i : i + 1]})[0].argmax() == labels[i]) for i in chosen]
        return float(np.mean(right)), right

    calibrated = data.prepare(data.calibration.inputs)
    calibration = nncf.Dataset([{"input": calibrated[i : i + 1]} for i in range(len(calibrated))])
    points, history, within, seen = [normalized(_known(goal, baseline, baseline), goal, baseline)], [], [], set()
    models = 0
    for allowed in DROPS:
        if budget.left <= 0:
            break
        made = nncf.quantize_with_accuracy_control(
            onnx.load(study.baseline.artifact),
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
            models += 1
            work = Work(copy.deepcopy(study.module))
            metrics, _ = measure(path, work, data, setting(study), baseline=study.baseline.artifact)
            points.append(normalized(_known(goal, metrics, baseline), goal, baseline))
            if QUANTITIES["accuracy_drop"].measured(metrics, baseline) <= drop:  # type: ignore[operator]
                within.append(metrics.size_bytes)
        history.append(Progress(time.monotonic() - budget.began, models, hypervolume(np.array(points))))
    smallest = f"{min(within):,} bytes" if within else "none"
    return Result(models, hypervolume(np.array(points)), smallest, history)


def _known(goal: Goal, metrics: Metrics, baseline: Metrics) -> list[float]:
    values = goal.values(metrics, baseline)
    assert values is not None
    return values


def _grid(study: Study, goal: Goal, budget: Budget, seed: int) -> Outcome:
    history = []

    def in_time(facts: dict) -> None:
        if budget.left < 0:
            raise Cancelled

    for ratio in RATIOS:
        if budget.left > 0:
            pruned = [Prune(ratio=ratio), Finetune(epochs=1)] if ratio else []
            study.run(Recipe([*pruned, Quantize()], seed), in_time)
            history.append(Progress(time.monotonic() - budget.began, len(study.trials), volume(study, goal)))
    return Outcome(study, goal, history)


def _result(outcome: Outcome, drop: float) -> Result:
    baseline = outcome.study.baseline.metrics
    assert baseline is not None
    within = Outcome(outcome.study, Goal.of("size_bytes", {"accuracy_drop": drop}, baseline)).best
    complete = sum(trial.state == "complete" for trial in outcome.study.trials)
    size = f"{within.metrics.size_bytes:,} bytes" if within and within.metrics else "none"
    return Result(complete, outcome.hypervolume, size, outcome.history)


def _reached(history: list[Progress], goal: float, budget: str) -> str:
    """When a hypervolume was reached, as a share of the budget."""
    seconds = Budget.of(budget).seconds or 1.0
    return next((f"{p.seconds / seconds:.0%}" for p in history if p.hypervolume >= goal), "never")


if __name__ == "__main__":
    typer.run(main)
