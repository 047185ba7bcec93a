"""The report: a study on one page that opens anywhere and prints well.

The plots are drawn as SVG rather than with the app's plotting library: the engine knows no face, and a report then
weighs kilobytes instead of megabytes, prints sharply, and is light or dark as its reader has it, by style sheet alone.
"""

import platform
from collections.abc import Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

import workbench
from workbench.closeups import closeups
from workbench.disk import write, writing
from workbench.doubts import doubts, measured_on
from workbench.errors import WorkbenchError
from workbench.estimates import Score
from workbench.evaluation import task_of
from workbench.metrics import RESOLUTION, Metrics, bytes_text
from workbench.plots import Plot, Point

if TYPE_CHECKING:
    from workbench.study import Study
    from workbench.trial import Trial

TEMPLATE = Path(__file__).with_name("report.html.j2")
VERSIONS = ("torch", "onnxruntime", "onnx", "torch-pruning", "numpy", "scipy")
FEW = 10  # classes, the most changed ones, that are not folded away
SPREAD = 8  # slowest over fastest, from which on latency is drawn by factors


def write_report(study: "Study", path: str | Path, closely: Sequence[int] | None = None) -> Path:
    """Write a study's report: `Study.report`."""
    trials = study.trials
    done = [trial for trial in trials if trial.metrics]
    if not done:
        raise WorkbenchError("This study has no measured trial to report.", "Run a recipe first.")
    page = _page(study, trials, done, closely)
    target = Path(path)
    with writing(target, "Choose another place."):
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target, page)
    return target


def _page(study: "Study", trials: list["Trial"], done: list["Trial"], closely: Sequence[int] | None) -> str:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    settings = study.settings
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        title=f"{settings['model']} on {settings['dataset']}",
        settings=settings,
        runtime=study.runtime,
        written=datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z"),
        plots=_plots(study, done),
        score=next(trial.metrics.score for trial in done if trial.metrics),
        front=[trial for trial in study.pareto() if len(trial.recipe)],
        rows=[_row(trial) for trial in trials],
        closeups=closeups(study, closely),
        few=FEW,
        measured_on=measured_on(done),
        machine=_machine(),
        versions=_versions(study),
        measured=_measured(study, done),
        doubts=doubts(study),
    )


def _plots(study: "Study", done: list["Trial"]) -> list[Plot]:
    baseline = next((trial.metrics for trial in done if not len(trial.recipe)), None)
    size = [_point(trial, trial.metrics.size_bytes, None) for trial in done if trial.metrics]
    score = done[0].metrics.score if done[0].metrics else Score(value=0, low=0, high=0)
    title = f"{score.title} against"
    plots = [
        Plot(
            f"{title} file size", "File size", size, _front(study, "size_bytes"), log=True, text=bytes_text, score=score
        )
    ]
    if baseline and baseline.latency:
        whole = baseline.latency.value
        timed = [p for trial in done if trial.metrics and (p := _timed(trial, trial.metrics, whole))]
        plots.append(
            Plot(
                f"{title} latency",
                "Latency in ms, on the baseline's scale",
                timed,
                _front(study, "latency"),
                log=max(point.x for point in timed) > SPREAD * min(point.x for point in timed),
                text=lambda ms: f"{ms:.3g}",
                score=score,
            )
        )
    return plots


def _front(study: "Study", objective: str) -> set[int]:
    return {trial.number for trial in study.pareto(["score", objective])}


def _timed(trial: "Trial", metrics: Metrics, whole: float) -> Point | None:
    """Only paired figures are comparable: the baseline's latency divided by the paired speed-up."""
    if metrics.simulated or (len(trial.recipe) and metrics.speedup is None):
        return None
    s = metrics.speedup
    return _point(trial, whole / s.value, (whole / s.high, whole / s.low)) if s else _point(trial, whole, None)


def _point(trial: "Trial", x: float, spread: tuple[float, float] | None) -> Point:
    assert trial.metrics is not None
    score = trial.metrics.score
    kinds = dict.fromkeys(type(step).__name__ for step in trial.recipe)
    facts = [
        f"Trial {trial.number}: {_recipe(trial)}",
        str(trial.metrics.score),
        _size(trial.metrics),
        _speed(trial.metrics),
    ]
    return Point(
        number=trial.number,
        kind=" + ".join(kinds) or "Baseline",
        x=x,
        spread=spread,
        y=score.value,
        low=score.low,
        high=score.high,
        facts=tuple(filter(None, facts)),
    )


def _row(trial: "Trial") -> dict[str, Any]:
    m = trial.metrics
    return {
        "number": trial.number,
        "state": trial.state,
        "recipe": _recipe(trial),
        "yaml": trial.recipe.to_yaml() if len(trial.recipe) else "",
        "weight_hash": trial.weight_hash or "",
        "score": str(m.score).removeprefix(f"{m.score.name} ") if m else "",
        "score_verdict": m.score_verdict if m and len(trial.recipe) else "",
        "size": bytes_text(m.size_bytes) if m else "",
        "theoretical": bytes_text(m.theoretical_bytes) if m else "",
        "speed": _speed(m) if m else "",
        "verdict": m.verdict if m else "",
        "simulated": bool(m and m.simulated),
        "sentences": trial.sentences(),
    }


def _recipe(trial: "Trial") -> str:
    return ", ".join(step.describe() for step in trial.recipe) or "Baseline"


def _size(m: Metrics) -> str:
    return f"file {bytes_text(m.size_bytes)}"


def _speed(m: Metrics) -> str:
    if m.simulated:
        return "not claimed: simulated"
    if m.speedup is None:
        return f"{m.latency.value:.3g} ms" if m.latency else ""
    return f"{m.speedup.value:.2f}x [{m.speedup.low:.2f}, {m.speedup.high:.2f}], {m.verdict}"


def _machine() -> list[str]:
    from workbench.doctor import examine

    return [*examine()["Devices"], f"{platform.system()} {platform.release()}"]


def _versions(study: "Study") -> dict[str, str]:
    found = {"compression-workbench": workbench.__version__, "Python": platform.python_version()}
    found |= {name: version for name in VERSIONS if (version := _installed(name))}
    return found | {study.runtime.title: study.runtime.version() or "not installed"}


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _measured(study: "Study", done: list["Trial"]) -> list[str]:
    processors = sorted({t.metrics.conditions.processor for t in done if t.metrics and t.metrics.conditions})
    samples = max(t.metrics.samples for t in done if t.metrics)
    threads = f"{study.threads} thread{'s' * (study.threads > 1)} of {', '.join(processors) or study.device}"
    often = max((t.metrics.conditions.loads for t in done if t.metrics and t.metrics.conditions), default=1)
    loaded = f" Both files are loaded up to {often} times for it, as one load is a little faster than another."
    loaded = loaded if often > 1 else ""
    opened = f"{study.test_openings} time{'s' * (study.test_openings != 1)}"
    return [
        f"Every figure comes from running the exported file ({study.runtime.suffix}) in {study.runtime.title}.",
        task_of(study.dataset).measured.format(samples=f"{samples:,}"),
        "Size: bytes of the file. What parameters times bits would give stands beside it, and is called theoretical.",
        f"Latency: baseline and trial in turns in one loop, for a batch of {study.batch} on {threads}. The speed-up is "
        f"their ratio with its 95 % interval; unless all of that is more than {RESOLUTION:.0%} above 1, or below, "
        f"there is no measurable change.{loaded}",
        f"The test split was opened {opened}; tuning never looks at it.",
    ]
