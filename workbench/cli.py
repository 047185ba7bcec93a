"""The command line: the same words as in Python and on the page."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from workbench.errors import WorkbenchError, lookup

app = typer.Typer(
    help="Make neural networks smaller and faster, and see what it costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Model = Annotated[str, typer.Option(help="A zoo model, or your own as package.module:factory.")]
Data = Annotated[str, typer.Option(help="A dataset by name, or your own Dataset as package.module:factory.")]
RuntimeName = Annotated[str, typer.Option(help="What executes the file that ships.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Threads = Annotated[int, typer.Option(min=1, help="Processor threads of the runtime while it is timed.")]
Batch = Annotated[int, typer.Option(min=1, help="Inputs in one call while it is timed.")]
Folder = Annotated[Path | None, typer.Option(help="The study's folder; an existing one goes on.")]


def main() -> None:
    """Run the command line; a refusal is a sentence and exit status 2."""
    try:
        app()
    except WorkbenchError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(2)


@app.command()
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
    study = Study(_own(model), _own(dataset), runtime, device, path, threads=threads, batch=batch)
    asked = goal_recipe(goal, study) if goal else asked
    study.check(asked)
    with _progress(quiet=json) as show:
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


@app.command()
def export(
    study: Annotated[Path, typer.Argument(help="The study's folder.")],
    trial: Annotated[int, typer.Argument(help="The trial's number.")],
    out: Annotated[Path, typer.Option(help="Where to write.")] = Path(),
    format: Annotated[
        list[str] | None,
        typer.Option(help="onnx, openvino, torch, safetensors or packed instead; repeat for more."),
    ] = None,
) -> None:
    """Copy a trial's artifact, recipe and a snippet that runs it into a folder; or write it in other formats."""
    from workbench.study import Study

    chosen = Study.open(study).trial(trial)
    for kind in format or []:
        made = chosen.export(kind, out)
        code = made.files[0].with_suffix(f".{kind}.py")
        code.write_text(made.snippet, encoding="utf-8")
        typer.echo(f"{made.sentence()} {code.name} runs it.")
    if format:
        return
    if chosen.artifact is None:
        raise WorkbenchError(f"Trial {trial} has no artifact: it {chosen.state}.", "Choose a complete trial.")
    name = out / chosen.download_name()
    try:
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(chosen.artifact, name)
        chosen.recipe.save(name.with_suffix(".yaml"))
        name.with_suffix(".py").write_text(chosen.snippet(), encoding="utf-8")
    except OSError as error:
        raise WorkbenchError(f"{out} can't be written: {error}.", "Choose another folder with --out.") from error
    for suffix in (name.suffix, ".yaml", ".py"):
        typer.echo(name.with_suffix(suffix))


@app.command()
def trials(study: Annotated[Path, typer.Argument(help="The study's folder.")]) -> None:
    """List the trials of a study."""
    from workbench.study import Study

    for trial in Study.open(study).trials:
        typer.echo(repr(trial))


@app.command()
def compare(
    study: Annotated[Path, typer.Argument(help="The study's folder.")],
    a: Annotated[int, typer.Argument(help="A trial's number; 0 is the baseline.")],
    b: Annotated[int, typer.Argument(help="The number of the trial to set against it.")],
) -> None:
    """Say where two trials differ: answers, classes, and layer by layer."""
    from workbench.study import Study

    typer.echo(repr(Study.open(study).compare(a, b)))


@app.command()
def why(
    study: Annotated[Path, typer.Argument(help="The study's folder.")],
    trial: Annotated[int, typer.Argument(help="The trial's number.")],
) -> None:
    """Say why a trial isn't faster: where its time goes, and each cause as it was measured."""
    from workbench.study import Study

    typer.echo(repr(Study.open(study).trial(trial).why()))


@app.command()
def best(
    study: Annotated[Path, typer.Argument(help="The study's folder.")],
    trial: Annotated[int, typer.Argument(help="The trial's number.")],
    budget: Annotated[str, typer.Option(help="Time: '90 s', '2 min'.")] = "1 min",
) -> None:
    """Run a trial in every runtime that is here, and say which is fastest, and why one was left out."""
    from workbench.study import Study

    with _progress(quiet=False) as show:
        found = Study.open(study).best_runtime(trial, budget, on_progress=show)
    typer.echo(repr(found))


@app.command()
def grid(
    study: Annotated[Path, typer.Argument(help="The study's folder.")],
    trial: Annotated[int, typer.Argument(help="The trial's number.")],
    threads: Annotated[list[int] | None, typer.Option(help="Processor threads; repeat for more.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Inputs in one call; repeat for more.")] = None,
) -> None:
    """Time a trial's file for every number of threads and of inputs in a call, against the baseline's."""
    from workbench.study import Study

    with _progress(quiet=False) as show:
        found = Study.open(study).grid(trial, threads, batch or [1, 16], on_progress=show)
    typer.echo(repr(found))


@app.command()
def sparse(
    study: Annotated[Path, typer.Argument(help="The study's folder.")],
    trial: Annotated[int, typer.Argument(help="The trial's number.")] = 0,
) -> None:
    """Say from how many zeros on a sparse product is faster than the dense one here, for each shape of a layer."""
    from workbench.study import Study

    with _progress(quiet=False) as show:
        found = Study.open(study).crossovers(trial, on_progress=show)
    for curve in found:
        typer.echo(curve.sentence())


@app.command()
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

    study = Study(_own(model), _own(dataset), runtime, device, path, threads=threads, batch=batch)
    objectives = objective or ["accuracy", "size_bytes", "latency"]
    limits, narrowed = dict(map(_knob, limit or [])), dict(map(_range, space or []))
    with _progress(quiet=False) as show:
        found = study.search(objectives, limits, budget, narrowed, sampler, seed, on_progress=show)
    for sentence in found.sentences():
        typer.echo(sentence)
    for trial in found.front:
        typer.echo(f"  {trial!r}")
    if found.goal.limits and found.best is None:
        raise typer.Exit(1)


@app.command()
def predict(
    recipe: Annotated[Path, typer.Argument(help="A recipe file (YAML).")],
    study: Annotated[Path, typer.Argument(help="The study's folder.")],
    look: Annotated[bool, typer.Option("--look", help="Try it without its trainings first, for a second.")] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="First measure what predictions go by, for some minutes, once.")
    ] = False,
) -> None:
    """Say what a recipe would give, without doing it."""
    from workbench.recipe import Recipe
    from workbench.study import Study

    opened = Study.open(study)
    if prepare:
        with _progress(quiet=False) as show:
            opened.prepare_predictions(on_progress=show)
    prediction = opened.predict(Recipe.load(recipe), look=look)
    for sentence in (prediction.sentence(), *prediction.warnings, *prediction.notes):
        typer.echo(sentence)


@app.command()
def sensitivity(
    study: Annotated[Path, typer.Argument(help="The study's folder.")],
    importance: Annotated[str, typer.Option(help="Which channels go first, as in prune.")] = "l2",
) -> None:
    """Say how much each layer suffers from pruning or fewer bits, when it alone is changed."""
    from rich import print as show_table

    from workbench.study import Study

    with _progress(quiet=False) as show:
        found = Study.open(study).sensitivity(importance, on_progress=show)
    for kind, title in (("ratio", "accuracy by share of channels removed"), ("bits", "accuracy by bits")):
        if any(point.kind == kind for point in found.points):
            show_table(found.table(kind, title))


@app.command()
def report(
    study: Annotated[Path, typer.Argument(help="The study's folder.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    closely: Annotated[
        list[int] | None, typer.Option(help="A trial to set against the baseline; repeat. Three of the front if none.")
    ] = None,
) -> None:
    """Write a study's report: one page with plots, trials and recipes that opens anywhere."""
    from workbench.study import Study

    typer.echo(Study.open(study).report(out, closely or None))


@app.command()
def steps() -> None:
    """List every step and knob, with range, default and meaning."""
    from workbench.knobs import knobs
    from workbench.steps import STEPS

    for name, step in STEPS.items():
        typer.secho(f"{name}: {step.summary()}", bold=True)
        for knob in knobs(step):
            values = (
                "|".join(map(str, knob.choices))
                if knob.choices
                else f"{knob.low:g}..{knob.high:g}"
                if knob.low is not None
                else "text"
            )
            unit = f" {knob.unit}" if knob.unit else ""
            typer.echo(f"  {knob.name}={knob.default}  ({values}{unit})  {knob.help}")


@app.command()
def doctor() -> None:
    """Say what this machine and this installation can run, and what to install for more."""
    from workbench.doctor import examine

    for title, lines in examine().items():
        typer.secho(title, bold=True)
        for line in lines:
            typer.echo(f"  {line}")


@app.command()
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

    with _progress(quiet=False) as show:
        typer.echo(pretrain(model, dataset, threads, out, report=lambda **facts: show({"name": "Train", **facts})))


@app.command()
def data(
    name: Annotated[str, typer.Argument(help="A dataset.")],
    download: Annotated[bool, typer.Option("--download", help="Fetch it first, where there is a network.")] = False,
) -> None:
    """Check that a dataset is here and whole, and say what it holds."""
    from workbench.data import DOWNLOADS, load_dataset

    if download:
        lookup(DOWNLOADS, name, "dataset to download")()
    dataset = load_dataset(name)
    for split in ("train", "validation", "test"):
        typer.echo(f"{split}: {len(getattr(dataset, split)):,} samples of shape {dataset.sample_shape}")


@app.command(name="app")
def app_command(
    port: Annotated[int, typer.Option(help="Port of the page.")] = 8866,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    path: Annotated[Path, typer.Option(help="Folder that holds the studies.")] = Path("runs"),
) -> None:
    """Open the app: a page that anyone can use."""
    from workbench.serve import serve_app

    raise typer.Exit(serve_app(host, port, browser, path))


@app.command()
def lab(
    port: Annotated[int, typer.Option(help="Port of JupyterLab.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open it in the browser.")] = True,
) -> None:
    """Open the notebooks in JupyterLab."""
    from workbench.serve import serve_lab

    raise typer.Exit(serve_lab(port, browser))


def _recipe(texts: list[str], seed: int) -> Any:
    from workbench.recipe import Recipe

    steps = []
    for text in texts:
        name, *pairs = text.split() or [""]
        steps.append({name: dict(map(_knob, pairs))})
    return Recipe.from_dict({"seed": seed, "steps": steps})


def _knob(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    try:
        if equals:
            return name, yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):  # an impossible date, or brackets without end
        pass
    raise WorkbenchError(f"'{text}' is not a knob's value.", "Write knob=value, such as ratio=0.5.")


def _range(text: str) -> tuple[str, Any]:
    """A knob and where to search it: ``0.3..0.8`` is a range, ``l2,fpgm`` are choices, anything else is one value."""
    name, value = _knob(text)
    if isinstance(value, str) and ".." in value:
        low, high = (yaml.safe_load(end) for end in value.split("..", 1))
        return name, (low, high)
    if isinstance(value, str) and "," in value:
        return name, [yaml.safe_load(choice) for choice in value.split(",")]
    return name, value


def _own(name: str) -> Any:
    """A name as it is, or what the factory in ``package.module:factory`` makes."""
    if ":" not in name:
        return name
    module, factory = name.split(":", 1)
    sys.path.insert(0, os.getcwd())
    try:
        return getattr(import_module(module), factory)()
    except (ImportError, AttributeError) as error:
        raise WorkbenchError(f"'{name}' can't be imported: {error}.", "Write package.module:factory.") from error


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    if quiet:
        yield lambda facts: None
        return
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task("Starting", total=1.0)

        def show(facts: dict[str, Any]) -> None:
            done = (facts.get("stage", 0) + facts.get("share", 0.0)) / facts.get("stages", 1)
            told = facts.get("message") or facts["name"]
            if "loss" in facts:
                told = f"{facts['name']}: epoch {facts['epoch']:.1f}, loss {facts['loss']:.3f}"
            bar.update(task, completed=done, description=told)

        yield show


if __name__ == "__main__":
    main()
