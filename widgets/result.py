"""The chosen trial: before and after, in figures and in words, and its files."""

import base64
from html import escape

import ipywidgets as w

from widgets.words import recipe_words
from workbench import Trial
from workbench.metrics import Metrics, bytes_text

LARGEST_DOWNLOAD = 30_000_000  # bytes that a page can reasonably carry
GOOD, BAD = {"faster", "better", "no evidence of a change"}, {"slower", "worse"}


class ResultCard(w.VBox):
    """A trial against the baseline, with verdicts in words and its files to download.

    Parameters
    ----------
    trial : Trial, optional
    """

    def __init__(self, trial: Trial | None = None):
        self.text = w.HTML(layout=w.Layout(width="100%"))
        self.files = w.HTML(layout=w.Layout(width="100%"))
        super().__init__([self.text, self.files])
        self.add_class("wb-card")
        if trial is not None:
            self.show(trial)
        else:
            self.clear()

    def clear(self) -> None:
        """Show no trial."""
        self.text.value = "<p>Tap a point, or run a recipe, to see what it costs and what it buys.</p>"
        self.files.value = ""

    def show(self, trial: Trial) -> None:
        """Show one trial."""
        title = f"<h3>Trial {trial.number}: {escape(recipe_words(trial.recipe))}</h3>"
        baseline = trial.study.baseline.metrics if trial.metrics else None
        if trial.metrics is None or baseline is None:
            self.text.value = f"{title}<p class='wb-bad'>{escape(trial.reason or f'It is {trial.state}.')}</p>"
            self.files.value = ""
            return
        details = trial.details()
        said = _list([sentence for sentence in trial.sentences() if sentence not in details])
        more = f"<details><summary>More figures</summary>{_list(details)}</details>" if details else ""
        self.files.value = _files(trial)
        self.text.value = f"{title}{_table(baseline, trial.metrics, same=not len(trial.recipe))}{said}{more}"


def _list(sentences: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


def _table(before: Metrics, after: Metrics, same: bool) -> str:
    speed = after.speedup
    paired = (after.baseline_latency or after.latency, after.latency)  # both from one loop
    was, now = (f"{latency.value:.3g} ms" if latency else "" for latency in paired)
    rows = [
        (
            "Accuracy",
            f"{before.accuracy.value:.2%}",
            f"{after.accuracy.value:.2%}",
            f"{100 * (after.accuracy.value - before.accuracy.value):+.2f} points",
            after.accuracy_verdict,
        ),
        (
            "File size",
            bytes_text(before.size_bytes),
            bytes_text(after.size_bytes),
            _ratio(before.size_bytes, after.size_bytes),
            f"theoretical: {bytes_text(after.theoretical_bytes)}",
        ),
        (
            "Latency",
            was,
            now,
            f"{speed.value:.2f}x [{speed.low:.2f}, {speed.high:.2f}]" if speed else "",
            after.verdict,
        ),
        ("MACs", f"{before.macs / 1e6:.2f} M", f"{after.macs / 1e6:.2f} M", _ratio(before.macs, after.macs), ""),
        (
            "Parameters",
            f"{before.parameters:,}",
            f"{after.parameters:,}",
            _ratio(before.parameters, after.parameters),
            f"{after.nonzero_parameters:,} not zero",
        ),
    ]
    names = ("", "Before", "After", "Change", "Verdict")
    if same:
        names, rows = ("", "Measured"), [row[:2] for row in rows]  # type: ignore[assignment, misc]
    head = "".join(f"<th scope='col'>{name}</th>" for name in names)
    body = "".join(f"<tr><th scope='row'>{row[0]}</th>{''.join(map(_cell, row[1:]))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    kind = "wb-good" if text in GOOD else "wb-bad" if text in BAD else ""
    return f"<td class='{kind}'>{text}</td>"


def _ratio(before: int, after: int) -> str:
    if before == after:
        return "the same"
    return f"{before / after:.1f}x smaller" if after < before else f"{after / before:.2f}x larger"


def _files(trial: Trial) -> str:
    artifact = trial.artifact
    if artifact is None or not artifact.exists():
        return ""
    name = trial.download_name()
    if artifact.stat().st_size > LARGEST_DOWNLOAD:
        model = f"<span>The model is in {escape(str(artifact))}</span>"
    else:
        model = _link(name, artifact.read_bytes(), f"Model, {artifact.suffix} ({bytes_text(artifact.stat().st_size)})")
    stem = name.rsplit(".", 1)[0]
    recipe = _link(f"{stem}.yaml", trial.recipe.to_yaml().encode(), "Recipe, .yaml")
    code = _link(f"{stem}.py", trial.snippet().encode(), "Code that runs it, .py")
    return f"<div class='wb-files'><b>Download</b> {model} {recipe} {code}</div>"


def _link(name: str, content: bytes, text: str) -> str:
    data = base64.b64encode(content).decode()
    address = f"data:application/octet-stream;base64,{data}"
    return f"<a class='wb-download' download='{escape(name)}' href='{address}'>{text}</a>"
