"""Search against random search, a grid, and Optuna alone: the same model, machine, knobs and wall-clock budget.

    python benchmarks/search.py --model lenet5 --dataset mnist --budget "10 min" --seeds 3

Each way has a study of its own. The hypervolume is that of all its trials, over accuracy, bytes and latency, between
the ideal and the baseline with 10 points of accuracy lost; "reaches" is the time until our search had the hypervolume
that the best of the others ended with, as a share of the budget. The grid prunes every layer alike by the L2 norm, as
torch-pruning does by default, trains an epoch and quantizes to int8. What our search measures for its predictions is
part of its time. At the end: how well our search foresaw its own trials.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from workbench import Cancelled, Finetune, Prune, Quantize, Recipe, Study
from workbench.data import Dataset, load_dataset
from workbench.search.budget import Budget
from workbench.search.goals import Goal
from workbench.search.outcome import Outcome, Progress, volume
from workbench.search.search import search

OBJECTIVES = ("accuracy", "size_bytes", "latency")
RATIOS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.1, 0.3, 0.5, 0.7, 0.9)
OURS = "ours"
WAYS = {
    OURS: {"sampler": "tpe", "predicting": True},
    "Optuna alone (TPE)": {"sampler": "tpe", "predicting": False},
    "random": {"sampler": "random", "predicting": False},
    "grid": {},
}


def main(
    model: str = "lenet5",
    dataset: str = "mnist",
    budget: str = "10 min",
    seeds: int = 3,
    samples: int = 0,
    drop: float = 0.01,
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
        found = {way: _searched(way, model, data, budget, seed) for way in WAYS}
        best = max(outcome.hypervolume for way, outcome in found.items() if way != OURS)
        for way, outcome in found.items():
            table.add_row(str(seed), way, *_row(outcome, drop), _reached(outcome, best, budget) if way == OURS else "")
        foreseen += [f"seed {seed}, {c.sentence()}" for c in found[OURS].study.calibration()]
    Console(width=140).print(table, *foreseen, sep="\n")


def _searched(way: str, model: str, data: Dataset, budget: str, seed: int) -> Outcome:
    study = Study(model, data, path=Path(tempfile.mkdtemp(), way.replace(" ", "-")))
    assert study.baseline.metrics is not None
    if way != "grid":
        found = search(study, OBJECTIVES, None, budget, seed=seed, **WAYS[way])  # type: ignore[arg-type]
    else:
        found = _grid(study, Goal.of(OBJECTIVES, None, study.baseline.metrics), Budget.of(budget), seed)
    typer.echo(f"seed {seed}, {way}: {found.hypervolume:.4f} with {len(study.trials)} trials", err=True)
    for trial in study.trials:
        typer.echo(f"    {trial!r}", err=True)
    return found


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


def _row(outcome: Outcome, drop: float) -> tuple[str, str, str]:
    baseline = outcome.study.baseline.metrics
    assert baseline is not None
    within = Outcome(outcome.study, Goal.of("size_bytes", {"accuracy_drop": drop}, baseline)).best
    complete = sum(trial.state == "complete" for trial in outcome.study.trials)
    size = f"{within.metrics.size_bytes:,} bytes" if within and within.metrics else "none"
    return str(complete), f"{outcome.hypervolume:.4f}", size


def _reached(outcome: Outcome, goal: float, budget: str) -> str:
    """When a hypervolume was reached, as a share of the budget."""
    seconds = Budget.of(budget).seconds or 1.0
    return next((f"{p.seconds / seconds:.0%}" for p in outcome.history if p.hypervolume >= goal), "never")


if __name__ == "__main__":
    typer.run(main)
