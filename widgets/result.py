"""The chosen trial: before and after, in figures and in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import ipywidgets as w

from widgets.curve import curve
from widgets.said import said
from widgets.texts import text, translated
from widgets.words import recipe_words
from workbench import Trial
from workbench.estimates import Estimate
from workbench.metrics import Metrics, bytes_text
from workbench.pair import Pair
from workbench.storage import Label

GOOD, BAD = {"faster", "better", "no evidence of a change"}, {"slower", "worse"}


@dataclass(frozen=True)
class Tile:
    """One figure: after, before, the change, and the verdict in the engine's words."""

    name: str
    after: str
    before: str = ""
    change: str = ""
    verdict: str = ""

    def html(self) -> str:
        kind = "wb-good" if self.verdict in GOOD else "wb-bad" if self.verdict in BAD else ""
        was = f"<dd>{text('card.was', before=self.before)}</dd>" if self.before else ""
        change = f"<dd>{self.change}</dd>" if self.change else ""
        verdict = f"<dd class='{kind}'>{translated('verdict', self.verdict, self.verdict)}</dd>" if self.verdict else ""
        return f"<div><dt>{self.name}</dt><dd class='wb-figure'>{self.after}</dd>{was}{change}{verdict}</div>"


class ResultCard(w.HTML):
    """A trial against another one, usually the baseline, with verdicts in words.

    Parameters
    ----------
    trial : Trial, optional
    """

    def __init__(self, trial: Trial | None = None):
        super().__init__()
        self.add_class("wb-card")
        if trial is not None:
            self.show(trial)
        else:
            self.clear()

    def clear(self) -> None:
        """Show no trial."""
        self.value = f"<p class='wb-hint'>{text('card.empty')}</p>"

    def show(self, trial: Trial, against: Trial | None = None) -> None:
        """Show one trial against another, or against the baseline; while it waits or runs, how it learns."""
        if trial.metrics is None:
            waits = f"<p class='wb-hint'>{text('card.running')}</p>"
            why = f"<p class='wb-bad'>{escape(said(trial.reason))}</p>" if trial.finished else waits
            self.value = why + curve(trial.progress)
            return
        baseline = trial.study.baseline
        before = against or baseline
        details = trial.details()
        sentences = [sentence for sentence in trial.sentences() if sentence not in details]
        if before.number == trial.number or (not len(trial.recipe) and against is None):
            tiles = _alone(trial.metrics)
        elif before.number == baseline.number:
            tiles = _measured(before.metrics or trial.metrics, trial.metrics)
        else:
            tiles, sentences = _compared(Pair(before, trial)), [text("card.through", number=before.number)]
        shown = "".join(tile.html() for tile in tiles)
        self.value = (
            f"<dl class='wb-tiles'>{shown}</dl>{_list(sentences)}"
            f"{_fold(text('card.more'), _list(details) if details else '')}"
            f"{_fold(text('card.training'), curve(trial.progress))}"
        )

    def side_by_side(self, trials: Sequence[Trial]) -> None:
        """Several trials, one in each row."""
        keys = ("trial", "accuracy", "size", "latency", "macs", "parameters")
        head = "".join(f"<th scope='col'>{text(f'row.{key}')}</th>" for key in keys)
        body = "".join(_line(trial, trial.metrics) for trial in trials if trial.metrics)
        self.value = f"<div class='wb-scroll'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def title(trial: Trial, labels: dict[int, Label] | None = None) -> str:
    """What a trial is called: its own name, or its recipe in words."""
    named = (trial.study.labels if labels is None else labels).get(trial.number)
    return named.name if named and named.name else recipe_words(trial.recipe)


def _fold(name: str, inside: str) -> str:
    return f"<details><summary>{name}</summary>{inside}</details>" if inside else ""


def _list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(said(sentence))}</li>' for sentence in sentences)}</ul>"


def _alone(m: Metrics) -> list[Tile]:
    return [
        Tile(_score_name(m), m.score.text()),
        Tile(text("row.size"), bytes_text(m.size_bytes)),
        Tile(text("row.latency"), f"{m.latency.value:.3g} ms" if m.latency else "?"),
        Tile(text("row.macs"), _millions(m.macs)),
        Tile(text("row.parameters"), f"{m.parameters:,}"),
    ]


def _measured(before: Metrics, after: Metrics) -> list[Tile]:
    paired = after.baseline_latency or after.latency  # both from one loop
    return [
        _accuracy(before, after, after.score_verdict),
        _size(before, after),
        Tile(
            text("row.latency"),
            f"{after.latency.value:.3g} ms" if after.latency else "?",
            f"{paired.value:.3g} ms" if paired else "",
            _speed(after.speedup),
            after.verdict,
        ),
        *_counts(before, after),
    ]


def _compared(pair: Pair) -> list[Tile]:
    before, after = pair.metrics
    speed = Tile(text("row.speed"), f"{pair.speedup.value:.2f}x" if pair.speedup else "?", "", "", pair.verdict)
    if pair.speedup:
        speed = Tile(speed.name, speed.after, "", f"[{pair.speedup.low:.2f}, {pair.speedup.high:.2f}]", pair.verdict)
    return [_accuracy(before, after, pair.score_verdict), _size(before, after), speed, *_counts(before, after)]


def _accuracy(before: Metrics, after: Metrics, verdict: str) -> Tile:
    change = after.score.change(before.score)
    if after.accuracy and before.accuracy:
        change = text("card.points", change=f"{100 * (after.accuracy.value - before.accuracy.value):+.2f}")
    return Tile(_score_name(after), after.score.text(), before.score.text(), change, verdict)


def _score_name(m: Metrics) -> str:
    return text("row.accuracy") if m.accuracy else translated("score", m.score.name, m.score.title)


def _size(before: Metrics, after: Metrics) -> Tile:
    theoretical = text("card.theoretical", size=bytes_text(after.theoretical_bytes))
    return Tile(
        text("row.size"),
        bytes_text(after.size_bytes),
        bytes_text(before.size_bytes),
        _ratio(before.size_bytes, after.size_bytes),
        theoretical,
    )


def _counts(before: Metrics, after: Metrics) -> list[Tile]:
    nonzero = text("card.nonzero", count=f"{after.nonzero_parameters:,}")
    return [
        Tile(text("row.macs"), _millions(after.macs), _millions(before.macs), _ratio(before.macs, after.macs)),
        Tile(
            text("row.parameters"),
            f"{after.parameters:,}",
            f"{before.parameters:,}",
            _ratio(before.parameters, after.parameters),
            nonzero if after.nonzero_parameters != after.parameters else "",
        ),
    ]


def _line(trial: Trial, m: Metrics) -> str:
    cells = (
        f"{m.score.text()} [{m.score.text(m.score.low)}, {m.score.text(m.score.high)}]",
        bytes_text(m.size_bytes),
        _speed(m.speedup) or ("1x" if not len(trial.recipe) else "?"),
        _millions(m.macs),
        f"{m.parameters:,}",
    )
    name = f"{trial.number} &middot; {escape(title(trial))}"
    return f"<tr><th scope='row'>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M"


def _speed(speedup: Estimate | None) -> str:
    if speedup is None:
        return ""
    return f"{speedup.value:.2f}x [{speedup.low:.2f}, {speedup.high:.2f}]"


def _ratio(before: int, after: int) -> str:
    if before == after:
        return text("card.same")
    if after < before:
        return text("card.smaller", ratio=f"{before / after:.1f}")
    return text("card.larger", ratio=f"{after / before:.2f}")
