"""Whether the timing can be trusted: against itself, against a known extra cost, and against itself tomorrow.

`coverage` also needs `pip install arch`, whose block bootstrap ours is compared with.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from scipy import stats

from workbench.estimates import Estimate, median_of, over_time
from workbench.latency import Paired, Run, paired
from workbench.metrics import speed_verdict

app = typer.Typer(help=__doc__, no_args_is_help=True)
REPEATS = 400  # of the bootstrap
CALLS = 20  # in one timed run, so that one more of them is 5 % more work


@app.command()
def itself(times: int = 100, model: str = "lenet5", dataset: str = "mnist", runtime: str = "onnxruntime") -> None:
    """Two sessions of one file: at least 95 of 100 must be called no measurable change."""
    with Artifacts(model, dataset, runtime) as files:
        _against(files, [0], times)


@app.command()
def extra(times: int = 20, model: str = "lenet5", dataset: str = "mnist", runtime: str = "onnxruntime") -> None:
    """A copy that does 5, 10 and 30 % more: how often that is seen."""
    with Artifacts(model, dataset, runtime) as files:
        _against(files, [1, 2, 6], times)


@app.command()
def repeat(times: int = 10, model: str = "lenet5", dataset: str = "mnist", runtime: str = "onnxruntime") -> None:
    """The same trial's speed-up and latency again and again: how many intervals hold the median of all."""
    columns = ("trial", "figure", "found", "their median", "intervals that hold it", "each")
    table = _table(f"{model} in {runtime}, {times} times", *columns)
    with Artifacts(model, dataset, runtime) as files:
        for name in ("half", "half8"):
            found = []
            for _ in range(times):
                found.append(_paired(lambda n=name: (files.repeated("plain", 1), files.repeated(n, 1))))
                time.sleep(1)  # so that slow drift has time to happen
            each = (
                f"{np.mean([f.seconds for f in found]):.1f} s, "
                f"others on the processors {np.mean([f.machine.others or 0 for f in found]):.0%}"
            )
            for figure, estimates in (
                ("speed-up", [f.speedup for f in found]),
                ("latency, ms", [f.second for f in found]),
                ("the baseline's", [f.first for f in found]),
            ):
                values = [estimate.value for estimate in estimates]
                middle = float(np.median(values))
                table.add_row(
                    {"half": "half the channels", "half8": "half the channels, int8"}[name],
                    figure,
                    " ".join(f"{value:.3g}" for value in values),
                    f"{middle:.3g}",
                    f"{sum(e.low <= middle <= e.high for e in estimates)} of {times}, "
                    f"mean half-width {np.mean([e.half_width for e in estimates]):.1%}",
                    each,
                )
    Console().print(table)


@app.command()
def coverage(times: int = 500, blocks: int = 120) -> None:
    """On simulated noise whose truth is known: how many 95 % intervals hold it, by method."""
    table = _table(f"Share of intervals that hold the truth ({times} runs of {blocks} blocks)", "noise", *METHODS)
    for name, noise in NOISES.items():
        random = np.random.default_rng(0)
        runs = [np.exp(0.03 * noise(random, blocks)) for _ in range(times)]
        found = {method: [interval(run) for run in runs] for method, interval in METHODS.items()}
        shares = [
            f"{np.mean([e.low <= 1 <= e.high for e in each]):.0%} (±{np.mean([e.half_width for e in each]):.1%})"
            for each in found.values()
        ]
        table.add_row(name, *shares)
    Console().print(table)


def _against(files: "Artifacts", more: list[int], times: int) -> None:
    title = f"Timed against a copy of itself, {times} times each"
    table = _table(title, "extra work", "faster", "slower", "no measurable change", "mean interval", "seconds each")
    for calls in more:
        found = []
        for _ in range(times):
            found.append(_paired(lambda c=calls: (files.repeated("plain", CALLS), files.repeated("plain", CALLS + c))))
        verdicts = Counter(speed_verdict(timing.speedup) for timing in found)
        low, high = (np.mean([getattr(f.speedup, end) for f in found]) for end in ("low", "high"))
        counts = [str(verdicts[verdict]) for verdict in ("faster", "slower", "no measurable change")]
        seconds = np.mean([f.seconds for f in found])
        table.add_row(f"{calls / CALLS:.0%}", *counts, f"{low:.3f}x to {high:.3f}x", f"{seconds:.1f}")
    Console().print(table)


def _paired(load: Callable[[], tuple[Run, Run]]) -> Paired:
    return paired(*load(), reload=load)


class Artifacts:
    """Files of one model, plain, with half its channels, and that in int8; gone at the end."""

    def __init__(self, model: str, dataset: str, runtime: str):
        import workbench as wb

        self._folder = tempfile.TemporaryDirectory()
        self._study = study = wb.Study(model, dataset, runtime, path=Path(self._folder.name, "study"))
        recipes = {"plain": [], "half": [wb.Prune(ratio=0.5)], "half8": [wb.Prune(ratio=0.5), wb.Quantize()]}
        self._trials = {
            name: study.run(wb.Recipe(steps))
            for name, steps in recipes.items()
            if name != "half8" or study.runtime.kernels
        }
        self.inputs = study.dataset.prepare(study.dataset.validation.inputs[:1])

    def __enter__(self) -> "Artifacts":
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def session(self, name: str):
        """A new session of one of the files."""
        return self._trials[name].load()

    def repeated(self, name: str, calls: int) -> Callable[[], None]:
        """So many calls of a new session as one run."""
        session = self.session(name)

        def run() -> None:
            for _ in range(calls):
                session(self.inputs)

        return run


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column)
    return table


def _autoregressive(random: np.random.Generator, count: int, memory: float) -> np.ndarray:
    shocks = random.normal(size=count) * np.sqrt(1 - memory**2)
    shocks[0] = random.normal()
    for index in range(1, count):
        shocks[index] += memory * shocks[index - 1]
    return shocks


def _switching(random: np.random.Generator, count: int, stay: float) -> np.ndarray:
    """Two states of the machine, each stayed in for so many blocks on the average."""
    flips = random.random(count) < 1 / stay
    return 2.0 * ((np.cumsum(flips) + random.integers(2)) % 2) - 1 + 0.7 * random.normal(size=count)


def _batch_means(values: np.ndarray) -> Estimate:
    means = np.array([batch.mean() for batch in np.array_split(np.log(values), 10)])
    reach = stats.t.ppf(0.975, 9) * stats.sem(means)
    return Estimate(
        value=float(np.exp(means.mean())),
        low=float(np.exp(means.mean() - reach)),
        high=float(np.exp(means.mean() + reach)),
    )


def _block_bootstrap(values: np.ndarray) -> Estimate:
    """The stationary bootstrap (Politis & Romano 1994), its blocks as long as Politis & White (2004) take them."""
    from arch.bootstrap import StationaryBootstrap, optimal_block_length

    logs = np.log(values)
    length = max(1.0, float(optimal_block_length(logs)["stationary"].iloc[0]))
    draws = StationaryBootstrap(length, logs, seed=0)
    low, high = draws.conf_int(lambda drawn: np.median(drawn, keepdims=True), reps=REPEATS, method="percentile")[:, 0]
    return Estimate(value=float(np.exp(np.median(logs))), low=float(np.exp(low)), high=float(np.exp(high)))


METHODS = {
    "blocks independent": median_of,
    "batch means": _batch_means,
    "block bootstrap": _block_bootstrap,
    "random effects (ours)": lambda v: over_time(v)[0],
}
NOISES = {
    "independent": lambda random, count: random.normal(size=count),
    "heavy tails": lambda random, count: random.standard_t(3, size=count),
    "AR(1), 0.5": lambda random, count: _autoregressive(random, count, 0.5),
    "AR(1), 0.8": lambda random, count: _autoregressive(random, count, 0.8),
    "AR(1), 0.95": lambda random, count: _autoregressive(random, count, 0.95),
    "two states, 10 blocks each": lambda random, count: _switching(random, count, 10),
    "two states, 30 blocks each": lambda random, count: _switching(random, count, 30),
}

if __name__ == "__main__":
    app()
