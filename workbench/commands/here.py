"""Commands about what is installed here, and those that open it."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.errors import lookup


def steps() -> None:
    """List every step and knob, with range, default and meaning."""
    from workbench.knobs import knobs
    from workbench.steps import STEPS

    for name, step in STEPS.items():
        typer.secho(f"{name}: {step.summary()}", bold=True)
        for knob in knobs(step):
            typer.echo(f"  {knob.name}={knob.default}  ({knob.values})  {knob.help}")


def doctor() -> None:
    """Say what this machine and this installation can run, and what to install for more."""
    from workbench.doctor import examine

    for title, lines in examine().items():
        typer.secho(title, bold=True)
        for line in lines:
            typer.echo(f"  {line}")


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


def app(
    port: Annotated[int, typer.Option(help="Port of the page.")] = 8866,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    path: Annotated[Path, typer.Option(help="Folder that holds the studies.")] = Path("runs"),
    idle: Annotated[int, typer.Option(min=1, help="Seconds after which the kernel of a lost page is ended.")] = 3600,
) -> None:
    """Open the app: a page that anyone can use."""
    from workbench.serve import serve_app

    raise typer.Exit(serve_app(host, port, browser, path, idle))


def lab(
    port: Annotated[int, typer.Option(help="Port of JupyterLab.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open it in the browser.")] = True,
) -> None:
    """Open the notebooks in JupyterLab."""
    from workbench.serve import serve_lab

    raise typer.Exit(serve_lab(port, browser))
