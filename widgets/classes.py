"""Class by class: how many of each are recognized, and which is taken for which, in tables folded away."""

from html import escape

import ipywidgets as w

from widgets.texts import text, translated
from workbench import Trial
from workbench.confusion import Cell, ClassChange, Confusion, confusion, recalls

FIRST = 5  # classes that are shown at once


class Classes(w.HTML):
    """Recall and confusion of a classifier's trial against another one; of anything else nothing."""

    def show(self, trial: Trial | None, against: Trial | None) -> None:
        """Show a trial, or none."""
        self.value = ""
        if trial is None or against is None or trial.metrics is None or against.metrics is None:
            return
        names = trial.study.dataset.classes
        changes = recalls(against.metrics, trial.metrics, names)
        told = confusion(against.metrics, trial.metrics, names)
        if changes and told:
            self.value = _recall(changes) + _confusion(told)


def _recall(changes: list[ClassChange]) -> str:
    first, more = changes[0], changes[FIRST:]
    most = text("classes.most", name=escape(first.name), **{k: first.row()[k] for k in ("before", "after")})
    gist = most if first.before != first.after else text("classes.same")
    rest = _fold(text("classes.others", count=len(more)), _table(more)) if more else ""
    return _fold(f"{text('classes.recall')}: {gist}", _table(changes[:FIRST]) + rest)


def _table(changes: list[ClassChange]) -> str:
    keys = list(changes[0].row())
    head = "".join(f"<th scope='col'>{translated('column', key, key)}</th>" for key in keys)
    body = "".join(_line(change.row()) for change in changes)
    return _scroll(text("classes.recall"), f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _line(row: dict[str, str]) -> str:
    name, *cells = (escape(value) for value in row.values())
    return f"<tr><th scope='row'>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _confusion(told: Confusion) -> str:
    others = [text("confusion.others")] if told.left_out else []
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in [*told.names, *others])
    body = "".join(
        f"<tr><th scope='row'>{escape(name)}</th>{''.join(map(_cell, cells))}</tr>" for name, cells in told.rows
    )
    caption = text("confusion.caption") + (text("confusion.left", count=told.left_out) if told.left_out else "")
    columns = len(told.names) + len(others)
    table = (
        f"<table class='wb-confusion'><caption>{caption}</caption><thead>"
        f"<tr><td></td><th scope='colgroup' colspan='{columns}'>{text('confusion.answered')}</th></tr>"
        f"<tr><th scope='col'>{text('confusion.right')}</th>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
    return _fold(text("confusion"), _scroll(text("confusion"), table))


def _cell(cell: Cell) -> str:
    """Its count, and by how much that changed."""
    colour = "--good" if cell.right else "--bad"
    style = f" style='background:color-mix(in srgb, var({colour}) {cell.paint}%, transparent)'" if cell.count else ""
    change = f"<small>{cell.change:+d}</small>" if cell.change else ""
    return f"<td{style}>{cell.count or '·'}{change}</td>"


def _fold(name: str, inside: str) -> str:
    return f"<details><summary>{name}</summary>{inside}</details>"


def _scroll(label: str, inside: str) -> str:
    """What may be wider than the page, in reach of the keyboard."""
    return f"<div class='wb-scroll' role='region' tabindex='0' aria-label='{escape(label)}'>{inside}</div>"
