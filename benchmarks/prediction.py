"""Predicted against measured: recipes by chance, each foreseen, then carried out and measured.

    python benchmarks/prediction.py --model lenet5 --dataset mnist --trials 40
    python benchmarks/prediction.py --in-memory 2000 --path STUDY

The study is prepared as the page does it; then recipes of Prune and Quantize without training are drawn at random, as
they come: also those that ruin the model, of which `--steepest 0.35` as the highest ratio leaves few. Every trial is
foreseen from what was known before it, so that the later half had at least as many trials to learn from as the first
has. Trials are also told apart by what they keep of the accuracy. A prediction is timed from what is fitted already,
as a slider has it; fitting anew after a trial is timed apart.

With `--in-memory` only accuracies are looked at, of so many validation samples and without files, and nothing is
learned from them: what predictions are worth before any trial, in a tenth of the time. With `--wide` the recipes also
prune single weights, by any importance, and have down to 2 bits.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from workbench import Recipe, Study, Trial, WorkbenchError
from workbench.estimates import share_of
from workbench.prediction.calibration import SHARES, calibrations
from workbench.prediction.probes import probe, probes_of
from workbench.search.space import Space

SPACE = {
    "distill": False,
    "half": False,
    "prune.ratio": (0.05, 0.9),
    "prune.importance": ["l2", "l1", "group"],
    "prune.scope": ["layer", "global", "isomorphic"],
    "prune.round_to": [1, 4, 8],
}


WIDE = SPACE | {
    "prune.granularity": ["channel", "weight"],
    "prune.importance": ["l2", "l1", "taylor", "fpgm", "lamp", "random", "hessian"],
    "quantize.weight_bits": [8, 6, 4, 3, 2],
    "quantize.simulate": [True],
}


def main(
    model: str = "lenet5",
    dataset: str = "mnist",
    trials: int = 40,
    seconds: float = 60.0,
    seed: int = 0,
    in_memory: int = 0,
    wide: bool = False,
    steepest: float = 0.9,
    path: Path | None = None,
) -> None:
    """Prepare, foresee, run, and print how far off predictions were and how often their intervals held."""
    study = Study(model, dataset, path=path or Path(tempfile.mkdtemp(), "study"))
    began = time.monotonic()
    study.prepare_predictions(seconds)
    prepared = time.monotonic() - began
    wishes = (WIDE if wide else SPACE) | {"prune.ratio": (0.05, steepest)}
    space, generator = Space.of(wishes, study.runtime, seed=seed), np.random.default_rng(seed)
    if in_memory:
        typer.echo(f"Prepared in {prepared:.0f} s.")
        return _without_files(study, space, generator, trials, in_memory)
    took: list[float] = []
    fitted: list[float] = []
    tried: set[str] = set()
    while len(took) < trials:
        try:
            recipe, _ = space.random(generator)
        except WorkbenchError:  # knobs that can't be combined
            continue
        if not len(recipe) or recipe.hash in tried:
            continue
        tried.add(recipe.hash)
        began = time.perf_counter()
        study.predict(Recipe([]))  # fitted anew after each trial
        fitted.append(time.perf_counter() - began)
        began = time.perf_counter()
        study.predict(recipe)
        took.append(time.perf_counter() - began)
        typer.echo(repr(study.run(recipe)), err=True)
    done = [trial for trial in study.trials if trial.prediction and trial.metrics]
    table = Table(title=f"{model} on {dataset}: prepared in {prepared:.0f} s, {len(done)} trials")
    for column in ("trials", "figure", "count", "mean error", "median error", "90 % intervals that held"):
        table.add_column(column)
    parts = {"all": done, "later half": done[len(done) // 2 :]}
    for low, high in ((0.9, 2.0), (0.5, 0.9), (0.0, 0.5)):
        most = f"to {high:.0%}" if high <= 1 else "or more"
        parts[f"keep {low:.0%} {most}"] = [t for t in done if low <= _kept(t) < high]
    for name, some in parts.items():
        for c in calibrations(some):
            scale = [1.0] * len(c.measured) if c.name in SHARES else c.measured
            errors = [abs(p.value - m) / s for p, m, s in zip(c.predicted, c.measured, scale, strict=True)]
            unit = "points" if c.name in SHARES else "%"
            mean, median = (f"{100 * figure:.2f} {unit}" for figure in (np.mean(errors), np.median(errors)))
            sure = share_of(round(c.held * len(errors)), len(errors))
            table.add_row(
                name, c.name, str(len(errors)), mean, median, f"{c.held:.0%} [{sure.low:.0%}, {sure.high:.0%}]"
            )
    middle, most = np.percentile(np.array(took) * 1e3, [50, 95])
    Console(width=120).print(
        table,
        f"A prediction took {middle:.1f} ms (median), {most:.1f} ms (95 %); fitting anew {np.median(fitted):.2f} s.",
    )


def _without_files(study: Study, space: Space, generator: np.random.Generator, count: int, samples: int) -> None:
    table = Table(title=f"{count} recipes in memory, on {samples:,} samples, by {len(probes_of(study).found)} probes")
    for column in ("recipes", "count", "mean error", "median error", "90 % intervals that held"):
        table.add_column(column)
    found: list[tuple[float, float, bool]] = []
    while len(found) < count:
        try:
            recipe, _ = space.random(generator)
            predicted = study.predict(recipe).accuracy
            tried = probe(study, recipe, samples)
        except WorkbenchError:  # knobs that can't be combined
            continue
        if predicted is not None and len(recipe):
            share = tried.right / tried.samples
            found.append((share, abs(predicted.value - share), predicted.low <= share <= predicted.high))
            typer.echo(f"{predicted.value:.3f} {share:.3f} {recipe.describe()}", err=True)
    shares, errors, held = (np.array(column) for column in zip(*found, strict=True))
    near = shares >= 0.9 * study.baseline.metrics.accuracy.value  # type: ignore[union-attr]
    for name, some in (("all", shares >= 0), ("near", near), ("others", ~near)):
        if some.any():
            off = [f"{100 * figure:.2f} points" for figure in (errors[some].mean(), np.median(errors[some]))]
            table.add_row(name, str(some.sum()), *off, f"{held[some].mean():.0%}")
    Console(width=120).print(table)


def _kept(trial: Trial) -> float:
    """What is left of the baseline's accuracy, as a share."""
    baseline = trial.study.baseline.metrics
    assert trial.metrics is not None and baseline is not None
    return trial.metrics.accuracy.value / baseline.accuracy.value


if __name__ == "__main__":
    typer.run(main)
