"""Commands that make trials, or a model to begin with."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from workbench.commands.common import (
    Batch,
    Data,
    Device,
    Folder,
    Model,
    RuntimeName,
    Threads,
    knob_value,
    own,
    progress,
)
from workbench.errors import WorkbenchError


def run(
    recipe: Annotated[Path | None, typer.Argument(help="A recipe file (YAML); or give --step.")] = None,
    step: Annotated[
        list[str] | None, typer.Option(help="A step with its knobs, such as 'prune ratio=0.5'; repeat for more.")
    ] = None,
    goal: Annotated[str, typer.Option(help="smaller, faster, balanced or accurate: a recipe to begin with.")] = "",
    seed: Annotated[int, typer.Option(help="Of all chance in a recipe made of --step.")] = 0,
    model: Model = "lenet5",
    dataset: Data = "mnist",
    runtime: RuntimeName = "onnxruntime",
    device: Device = "cpu",
    threads: Threads = 1,
    batch: Batch = 1,
    path: Folder = None,
    json: Annotated[bool, typer.Option("--json", help="Print the record of the trial as JSON.")] = False,
) -> None:
    """Carry out a recipe, measure the artifact, and say what it costs and buys."""
    from workbench.goals import goal_recipe
    from workbench.recipe import Recipe
    from workbench.study import Study

    if sum(map(bool, (recipe, step, goal))) != 1:
        raise WorkbenchError("Give a recipe file, --step or --goal, one of them.", "`workbench steps` lists the steps.")
    asked = Recipe.load(recipe) if recipe else _recipe(step or [], seed)
    study = Study(own(model), own(dataset), runtime, device, path, threads=threads, batch=batch)
    asked = goal_recipe(goal, study) if goal else asked
    study.check(asked)
    with progress(quiet=json) as show:
        trial = study.run(asked, on_progress=show)
    if json:
        typer.echo(study.storage.record(trial.number).model_dump_json(indent=2))
    else:
        typer.secho(f"Trial {trial.number}: {trial.recipe.describe()} ({trial.state})", bold=True)
        for sentence in trial.sentences():
            typer.echo(f"  {sentence}")
        if trial.artifact:
            typer.echo(f"  Weights {trial.weight_hash}; the file is {trial.artifact}")
    if trial.state != "complete":
        raise typer.Exit(1)


def _recipe(texts: list[str], seed: int) -> Any:
    from workbench.recipe import Recipe

    steps = []
    for text in texts:
        name, *pairs = text.split() or [""]
        steps.append({name: dict(map(knob_value, pairs))})
    return Recipe.from_dict({"seed": seed, "steps": steps})


def search(
    objective: Annotated[list[str] | None, typer.Option(help="What to make better; repeat for more.")] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="A limit, such as accuracy_drop=0.01 or size_bytes=100000; repeat.")
    ] = None,
    budget: Annotated[str, typer.Option(help="Time or trials: '10 min', '30 trials'.")] = "10 min",
    space: Annotated[
        list[str] | None,
        typer.Option(help="A range or choices of a knob: prune.ratio=0.3..0.8, prune.importance=l2,fpgm, distill=no."),
    ] = None,
    sampler: Annotated[str, typer.Option(help="tpe, nsga2, gp or random.")] = "tpe",
    seed: Annotated[int, typer.Option(help="Of the search and of every recipe.")] = 0,
    model: Model = "lenet5",
    dataset: Data = "mnist",
    runtime: RuntimeName = "onnxruntime",
    device: Device = "cpu",
    threads: Threads = 1,
    batch: Batch = 1,
    path: Folder = None,
) -> None:
    """Look for the recipes of the best trade-offs, within limits and a budget; once more goes on."""
    from workbench.study import Study

    study = Study(own(model), own(dataset), runtime, device, path, threads=threads, batch=batch)
    objectives = objective or ["accuracy", "size_bytes", "latency"]
    limits, narrowed = dict(map(knob_value, limit or [])), dict(map(_range, space or []))
    with progress(quiet=False) as show:
        found = study.search(objectives, limits, budget, narrowed, sampler, seed, on_progress=show)
    for sentence in found.sentences():
        typer.echo(sentence)
    for trial in found.front or found.nearest:
        typer.echo(f"  {trial!r}")
    if found.goal.limits and found.best is None:
        raise typer.Exit(1)


def _range(text: str) -> tuple[str, Any]:
    """A knob and where to search it: ``0.3..0.8`` is a range, ``l2,fpgm`` are choices, anything else is one value."""
    name, value = knob_value(text)
    if isinstance(value, str) and ".." in value:
        low, high = (yaml.safe_load(end) for end in value.split("..", 1))
        return name, (low, high)
    if isinstance(value, str) and "," in value:
        return name, [yaml.safe_load(choice) for choice in value.split(",")]
    return name, value


def train(
    model: Annotated[str, typer.Argument(help="A zoo model.")],
    dataset: Data = "mnist",
    threads: Annotated[int, typer.Option(min=1, help="Processor threads: part of what makes a run repeatable.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the weights and their card; the zoo's own if left out.")
    ] = None,
) -> None:
    """Train a zoo model from scratch by its declared recipe, and write its weights and card."""
    from workbench.pretrain import pretrain

    with progress(quiet=False) as show:
        typer.echo(pretrain(model, dataset, threads, out, report=lambda **facts: show({"name": "Train", **facts})))
