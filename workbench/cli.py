"""The command line: the same words as in Python and on the page."""

import sys

import typer

from workbench.commands import COMMANDS
from workbench.errors import WorkbenchError

app = typer.Typer(
    help="Make neural networks smaller and faster, and see what it costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command line; a refusal is a sentence and exit status 2."""
    try:
        app()
    except WorkbenchError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
