"""Where it hurts: how much each layer suffers from pruning or fewer bits, as a heat map."""

from html import escape

from widgets.inside import Ask, Question, sentences
from widgets.texts import translated
from workbench import Trial
from workbench.questions import Answer

WORST = 0.5  # a share lost at which a cell is as dark as it gets


class Sensitive(Question):
    """The heat map of the study; the same for each of its trials, the baseline among them."""

    def __init__(self, ask: Ask):
        super().__init__(ask, "sensitivity")

    def about(self, trial: Trial | None, against: int | None = None) -> None:
        super().about(trial, against)
        if trial is not None and trial.metrics is not None:
            self._about = (trial, None)
            self.shown.value = ""

    def html(self, answer: Answer) -> str:
        return sentences(answer) + heat(answer.table)


def heat(rows: list[dict[str, str]]) -> str:
    """Rows of accuracies as a table, each cell the darker the more is lost against the best of all."""
    if not rows:
        return ""
    shares = [_share(cell) for row in rows for cell in row.values()]
    top = max((share for share in shares if share is not None), default=1.0)
    head = "".join(f"<th scope='col'>{escape(translated('column', name, name))}</th>" for name in rows[0])
    body = "".join("<tr>" + "".join(_cell(cell, top) for cell in row.values()) + "</tr>" for row in rows)
    table = f"<table class='wb-heat'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class='wb-scroll'>{table}</div>"


def _share(cell: str) -> float | None:
    return float(cell[:-1]) / 100 if cell.endswith("%") else None


def _cell(cell: str, top: float) -> str:
    share = _share(cell)
    if share is None:
        return f"<td>{escape(cell)}</td>"
    lost = min(1.0, max(0.0, (top - share) / WORST))
    return f"<td style='background:rgba(213, 94, 0, {0.75 * lost:.2f})'>{escape(cell)}</td>"
