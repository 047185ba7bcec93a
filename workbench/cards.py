"""How a study, a trial, a recipe and figures show themselves in a notebook: small, self-contained HTML.

Colours are those of the surroundings, so that the cards are as readable on dark as on light. Nothing is measured for
them.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from workbench.estimates import Estimate
from workbench.knobs import knobs
from workbench.metrics import Metrics, bytes_text

if TYPE_CHECKING:
    from workbench.recipe import Recipe
    from workbench.study import Study
    from workbench.trial import Trial

MOST = 20  # trials in the table of a study
EDGE = "1px solid rgba(128, 128, 128, 0.35)"
CELL = f"padding:2px 12px 2px 0;text-align:left;vertical-align:top;border-bottom:{EDGE}"
QUIET = "opacity:0.72"


def metrics_card(m: Metrics) -> str:
    """What was measured, a row for each figure."""
    return _card("", _figures(m))


def recipe_card(recipe: "Recipe") -> str:
    """The steps in their order, each with the knobs that differ from their defaults."""
    steps = "".join(f"<li><b>{type(step).__name__}</b> {_turned(step)}</li>" for step in recipe)
    seed = f"seed {recipe.seed}, " if len(recipe) else ""
    body = f"<ol style='margin:4px 0;padding-left:22px'>{steps}</ol>" if steps else "<div>The unchanged model.</div>"
    return _card("Recipe", body, f"{seed}{recipe.hash}")


def trial_card(trial: "Trial") -> str:
    """The recipe in a line, and what came of it."""
    title = f"Trial {trial.number}: {trial.recipe.describe()}"
    if trial.metrics is None:
        return _card(title, f"<div>{escape(trial.reason or f'It is {trial.state}.')}</div>", trial.state)
    return _card(title, _figures(trial.metrics), ", ".join(trial.notes))


def study_card(study: "Study") -> str:
    """What is compressed, and its newest trials; a star marks those that no other beats."""
    s, trials = study.settings, study.trials
    front = {trial.number for trial in study.pareto()}
    rows = [_row(trial, trial.number in front) for trial in trials[-MOST:]]
    left = f" &middot; the newest {MOST} of {len(trials)}" if len(trials) > MOST else ""
    table = (
        _table(("", "trial", _score_name(trials), "file size", "speed"), rows) if rows else "<div>No trial yet.</div>"
    )
    title = f"{s['model']} on {s['dataset']}, {s['runtime']}, {s['device']}"
    star = " &middot; &#9733; no other trial beats it" if front else ""
    return _card(title, table, f"{escape(str(study.path))}{left}{star}", safe=True)


def _score_name(trials: "Sequence[Trial]") -> str:
    return next((trial.metrics.score.name for trial in trials if trial.metrics), "score")


def _row(trial: "Trial", best: bool) -> list[str]:
    m = trial.metrics
    name = f"{trial.number}{'&nbsp;&#9733;' if best else ''}", escape(trial.recipe.describe())
    if m is None:
        return [*name, escape(trial.state), "", ""]
    speed = f"{m.speedup.value:.2f}x, {m.verdict}" if m.speedup else m.verdict if len(trial.recipe) else ""
    return [*name, m.score.text(), bytes_text(m.size_bytes), escape(speed)]


def _figures(m: Metrics) -> str:
    rows = [
        [
            m.score.name,
            m.score.text(),
            f"[{m.score.text(m.score.low)}, {m.score.text(m.score.high)}]",
            f"of {m.samples:,} ({escape(m.split)})",
        ],
        ["file size", bytes_text(m.size_bytes), "", f"theoretical: {bytes_text(m.theoretical_bytes)}"],
    ]
    if m.latency:
        where = f"{m.conditions.threads} thread(s), batch {m.conditions.batch}" if m.conditions else ""
        rows.append(["latency", f"{m.latency.value:.3g} ms", _interval(m.latency, ".3g"), escape(where)])
    if m.speedup:
        rows.append(["speed", f"{m.speedup.value:.2f}x", _interval(m.speedup, ".2f"), escape(m.verdict)])
    rows += [["MACs", f"{m.macs:,}", "", ""]]
    rows += [["parameters", f"{m.parameters:,}", "", f"{m.nonzero_parameters:,} not zero"]]
    rows += [["simulated", escape(why), "", "its speed is not claimed"] for why in m.simulated]
    return _table((), rows)


def _turned(step: object) -> str:
    named = [(knob.name, getattr(step, knob.name), knob.default) for knob in knobs(type(step))]  # type: ignore[arg-type]
    told = [f"{name}={value!r}" for name, value, default in named if value != default]
    return f"<span style='{QUIET}'>{escape(', '.join(told) or 'as declared')}</span>"


def _interval(estimate: Estimate, form: str) -> str:
    return f"[{estimate.low:{form}}, {estimate.high:{form}}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of HTML; the first cell of each is its heading."""
    names = "".join(f"<th scope='col' style='{CELL};{QUIET}'>{name}</th>" for name in head)
    body = "".join(
        f"<tr><th scope='row' style='{CELL};font-weight:600'>{row[0]}</th>"
        + "".join(f"<td style='{CELL}'>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    top = f"<thead><tr>{names}</tr></thead>" if names else ""
    style = "border-collapse:collapse;margin:4px 0;color:inherit;font:inherit"
    return f"<table style='{style}'>{top}<tbody>{body}</tbody></table>"


def _card(title: str, body: str, note: str = "", safe: bool = False) -> str:
    heading = f"<div style='font-weight:600'>{escape(title)}</div>" if title else ""
    below = f"<div style='{QUIET};font-size:0.9em'>{note if safe else escape(note)}</div>" if note else ""
    style = f"display:inline-block;max-width:100%;overflow:auto;padding:8px 14px;border:{EDGE};border-radius:8px"
    return f"<div style='{style};color:inherit'>{heading}{body}{below}</div>"
