"""Predicted against measured: recipes by chance, each foreseen, then carried out and measured.

    python benchmarks/prediction.py --model lenet5 --dataset mnist --trials 40

The study is prepared as the page does it; then recipes of Prune and Quantize without training are drawn at random, as
they come: also those that ruin the model. Every trial is foreseen from what was known before it, so that the later half
had at least as many trials to learn from as the first has. "near" are those that keep nine tenths of the accuracy.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from workbench import Study, Trial
from workbench.prediction.calibration import calibrations
from workbench.search.space import Space

SPACE = {
    "distill": False,
    "prune.ratio": (0.05, 0.9),
    "prune.importance": ["l2", "l1", "group"],
    "prune.scope": ["layer", "global", "isomorphic"],
    "prune.round_to": [1, 4, 8],
}


def main(model: str = "lenet5", dataset: str = "mnist", trials: int = 40, seconds: float = 60.0, seed: int = 0) -> None:
    """Prepare, foresee, run, and print how far off predictions were and how often their intervals held."""
    study = Study(model, dataset, path=Path(tempfile.mkdtemp(), "study"))
    began = time.monotonic()
    study.prepare_predictions(seconds)
    prepared = time.monotonic() - began
    space, generator = Space.of(SPACE, study.runtime, seed=seed), np.random.default_rng(seed)
    took: list[float] = []
    tried: set[str] = set()
    while len(took) < trials:
        recipe, _ = space.random(generator)
        if not len(recipe) or recipe.hash in tried:
            continue
        tried.add(recipe.hash)
        study.predict(recipe)  # fitted anew after each trial, which is not what a slider waits for
        began = time.perf_counter()
        study.predict(recipe)
        took.append(time.perf_counter() - began)
        typer.echo(repr(study.run(recipe)), err=True)
    done = [trial for trial in study.trials if trial.prediction and trial.metrics]
    table = Table(title=f"{model} on {dataset}: prepared in {prepared:.0f} s, {len(done)} trials")
    for column in ("trials", "figure", "count", "mean error", "median error", "90 % intervals that held"):
        table.add_column(column)
    near = [t for t in done if _kept(t) >= 0.9]
    parts = {
        "all": done,
        "later half": done[len(done) // 2 :],
        "near": near,
        "near, later half": near[len(near) // 2 :],
    }
    for name, some in parts.items():
        for c in calibrations(some):
            scale = [1.0] * len(c.measured) if c.name == "accuracy" else c.measured
            errors = [abs(p.value - m) / s for p, m, s in zip(c.predicted, c.measured, scale, strict=True)]
            unit = "points" if c.name == "accuracy" else "%"
            mean, median = (f"{100 * figure:.2f} {unit}" for figure in (np.mean(errors), np.median(errors)))
            table.add_row(name, c.name, str(len(errors)), mean, median, f"{c.held:.0%}")
    milliseconds = np.percentile(np.array(took) * 1e3, [50, 95])
    Console(width=120).print(
        table, f"A prediction took {milliseconds[0]:.1f} ms (median), {milliseconds[1]:.1f} ms (95 %)."
    )


def _kept(trial: Trial) -> float:
    """What is left of the baseline's accuracy, as a share."""
    baseline = trial.study.baseline.metrics
    assert trial.metrics is not None and baseline is not None
    return trial.metrics.accuracy.value / baseline.accuracy.value


if __name__ == "__main__":
    typer.run(main)
