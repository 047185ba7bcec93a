"""Commands that ask a study as a whole."""

from pathlib import Path
from typing import Annotated

import typer

from workbench.commands.common import StudyFolder, progress


def predict(
    recipe: Annotated[Path, typer.Argument(help="A recipe file (YAML).")],
    study: StudyFolder,
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
        with progress(quiet=False) as show:
            opened.prepare_predictions(on_progress=show)
    prediction = opened.predict(Recipe.load(recipe), look=look)
    for sentence in (prediction.sentence(), *prediction.warnings, *prediction.notes):
        typer.echo(sentence)


def sensitivity(
    study: StudyFolder,
    importance: Annotated[str, typer.Option(help="Which channels go first, as in prune.")] = "l2",
    output_error: Annotated[
        bool, typer.Option("--output-error", help="How far the model's outputs move, instead of accuracy.")
    ] = False,
) -> None:
    """Say how much each layer suffers from pruning or fewer bits, when it alone is changed."""
    from rich import print as show_table

    from workbench.study import Study

    with progress(quiet=False) as show:
        found = Study.open(study).sensitivity(importance, on_progress=show)
    what = "output error" if output_error else "accuracy"
    for kind, by in (("ratio", "share of channels removed"), ("bits", "bits")):
        if any(point.kind == kind for point in found.points):
            show_table(found.table(kind, f"{what} by {by}", what))


def report(
    study: StudyFolder,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    closely: Annotated[
        list[int] | None, typer.Option(help="A trial to set against the baseline; repeat. Three of the front if none.")
    ] = None,
) -> None:
    """Write a study's report: one page with plots, trials and recipes that opens anywhere."""
    from workbench.study import Study

    typer.echo(Study.open(study).report(out, closely or None))
