"""Commands that look at the trials of a study."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.commands.common import StudyFolder, progress
from workbench.disk import write, writing
from workbench.errors import WorkbenchError

OTHER = "Choose another folder with --out."


def trials(study: StudyFolder) -> None:
    """List the trials of a study."""
    from workbench.study import Study

    for trial in Study.open(study).trials:
        typer.echo(repr(trial))


def compare(
    study: StudyFolder,
    a: Annotated[int, typer.Argument(help="A trial's number; 0 is the baseline.")],
    b: Annotated[int, typer.Argument(help="The number of the trial to set against it.")],
) -> None:
    """Say where two trials differ: answers, classes, and layer by layer."""
    from workbench.study import Study

    typer.echo(repr(Study.open(study).compare(a, b)))


def why(
    study: StudyFolder,
    trial: Annotated[int, typer.Argument(help="The trial's number.")],
    refresh: Annotated[bool, typer.Option("--refresh", help="Measure this machine's best anew.")] = False,
) -> None:
    """Say why a trial isn't faster: where its time goes, and each cause as it was measured."""
    from workbench.study import Study

    typer.echo(repr(Study.open(study).trial(trial).why(refresh)))


def export(
    study: StudyFolder,
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
        runs = made.files[0].with_suffix(f".{kind}.py")
        with writing(out, OTHER):
            write(runs, made.snippet)
        beside = " and ".join(helper.name for helper in made.helpers)
        typer.echo(f"{made.sentence()} {runs.name} runs it{beside and f', with {beside}'}.")
    if format:
        return
    if chosen.artifact is None:
        raise WorkbenchError(f"Trial {trial} has no artifact: it {chosen.state}.", "Choose a complete trial.")
    name = out / chosen.download_name()
    with writing(out, OTHER):
        out.mkdir(parents=True, exist_ok=True)
        write(name, chosen.artifact.read_bytes())
        chosen.recipe.save(name.with_suffix(".yaml"))
        write(name.with_suffix(".py"), chosen.snippet())
        for helper, code in chosen.helpers().items():
            write(out / helper, code)
    for suffix in (name.suffix, ".yaml", ".py"):
        typer.echo(name.with_suffix(suffix))
    for helper in chosen.helpers():
        typer.echo(out / helper)


def best(
    study: StudyFolder,
    trial: Annotated[int, typer.Argument(help="The trial's number.")],
    budget: Annotated[str, typer.Option(help="Time: '90 s', '2 min'.")] = "2 min",
) -> None:
    """Run a trial in every runtime that is here, and say which is fastest, and why one was left out."""
    from workbench.study import Study

    with progress(quiet=False) as show:
        found = Study.open(study).best_runtime(trial, budget, on_progress=show)
    typer.echo(repr(found))


def grid(
    study: StudyFolder,
    trial: Annotated[int, typer.Argument(help="The trial's number.")],
    threads: Annotated[list[int] | None, typer.Option(help="Processor threads; repeat for more.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Inputs in one call; repeat for more.")] = None,
    runtime: Annotated[str | None, typer.Option(help="Where to run it; the study's own if left out.")] = None,
) -> None:
    """Time a trial's file for every number of threads and of inputs in a call, against the baseline's."""
    from workbench.study import Study

    with progress(quiet=False) as show:
        found = Study.open(study).grid(trial, threads, batch or [1, 16], show, runtime)
    typer.echo(repr(found))


def sparse(
    study: StudyFolder,
    trial: Annotated[int, typer.Argument(help="The trial's number.")] = 0,
) -> None:
    """Say from how many zeros on a sparse product is faster than the dense one here, for each shape of a layer."""
    from workbench.study import Study

    with progress(quiet=False) as show:
        found = Study.open(study).crossovers(trial, on_progress=show)
    for curve in found:
        typer.echo(curve.sentence())
