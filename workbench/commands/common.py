"""What commands have in common: options, values, progress."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from workbench.errors import WorkbenchError
from workbench.factories import made_by, names_factory

Model = Annotated[str, typer.Option(help="A zoo model, or your own as package.module:factory.")]
Data = Annotated[str, typer.Option(help="A dataset by name, or your own Dataset as package.module:factory.")]
RuntimeName = Annotated[str, typer.Option(help="What executes the file that ships.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Threads = Annotated[int, typer.Option(min=1, help="Processor threads of the runtime while it is timed.")]
Batch = Annotated[int, typer.Option(min=1, help="Inputs in one call while it is timed.")]
Folder = Annotated[Path | None, typer.Option(help="The study's folder; an existing one goes on.")]
StudyFolder = Annotated[Path, typer.Argument(help="The study's folder.")]


def knob_value(text: str) -> tuple[str, Any]:
    """A knob and its value, from ``knob=value``."""
    name, equals, value = text.partition("=")
    try:
        if equals:
            return name, yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError):  # an impossible date, or brackets without end
        pass
    raise WorkbenchError(f"'{text}' is not a knob's value.", "Write knob=value, such as ratio=0.5.")


def own(name: str) -> Any:
    """A name as it is, or what the factory in ``package.module:factory`` makes."""
    return made_by(name) if names_factory(name) else name


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar that a study's progress moves; none where it is to be quiet."""
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
