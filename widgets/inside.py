"""What is inside a trial: answers that take the worker a few seconds, asked for when somebody looks."""

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from html import escape

import ipywidgets as w
import traitlets

from widgets.classes import Classes
from widgets.said import said
from widgets.texts import text, translated
from workbench import Trial, WorkbenchError
from workbench.questions import Answer, kept

FLIPS = ("broken", "fixed", "otherwise")
EVERY = ""
Ask = Callable[[Trial, str, int | None], "Future[Answer]"]


class Question(w.VBox):
    """A panel that asks one question of `workbench.questions` when it is looked at, and shows the answer.

    Parameters
    ----------
    ask : callable
        (trial, question, number of the trial to compare with or None) -> future of the answer.
    question : str
    """

    answer = traitlets.Instance(Answer, allow_none=True, help="The answer, once it is there.")

    def __init__(self, ask: Ask, question: str):
        self._ask, self.question = ask, question
        self._about: tuple[Trial, int | None] | None = None
        self._asked = False
        self.shown = w.HTML()
        super().__init__([self.shown])
        self.add_class("wb-inside")

    def about(self, trial: Trial | None, against: int | None = None) -> None:
        """Be about a trial, or about none; a failed one, and one beside itself, have nothing inside to compare."""
        fitting = trial is not None and trial.metrics is not None and (len(trial.recipe) or against is not None)
        self._about = (trial, against) if fitting and trial is not None and trial.number != against else None
        self._asked, self.answer = False, None
        self.shown.value = "" if self._about else f"<p class='wb-hint'>{text('inside.nothing')}</p>"

    def look(self) -> None:
        """Somebody looks: ask, unless it was."""
        if self._about is None or self._asked:
            return
        self._asked = True
        trial, against = about = self._about
        known = kept(trial.study, trial.number, self.question, against)
        if known is not None:
            self._tell(known)
            return
        self.shown.value = f"<p class='wb-hint'>{text('inside.wait')}</p>"
        try:
            future = self._ask(trial, self.question, against)
        except WorkbenchError as error:
            self.shown.value = sorry(error)
            return
        future.add_done_callback(lambda done: self._told(done, about))

    def html(self, answer: Answer) -> str:
        """How this panel shows an answer."""
        return sentences(answer) + table(answer.table)

    def _told(self, future: "Future[Answer]", about: tuple[Trial, int | None]) -> None:
        if self._about is not about:
            return
        try:
            self._tell(future.result())
        except CancelledError:
            self.shown.value = f"<p class='wb-bad'>{text('inside.broken')}</p>"
        except WorkbenchError as error:
            self.shown.value = sorry(error)
        except Exception as error:  # a worker that died, or could not load the study
            self.shown.value = sorry(WorkbenchError(text("inside.failed", what=f"{type(error).__name__}: {error}")))

    def _tell(self, answer: Answer) -> None:
        self.answer = answer
        self.shown.value = self.html(answer)


class Layers(Question):
    """What changed, layer by layer."""

    def __init__(self, ask: Ask):
        super().__init__(ask, "changes")


class Flips(Question):
    """The samples whose answer changed, with their pictures, of all classes or of one; and class by class, at once."""

    def __init__(self, ask: Ask):
        super().__init__(ask, "changes")
        self.classes = w.Dropdown(
            options=[(text("flips.every"), EVERY)],
            description=text("flips.class"),
            tooltip=text("flips.class"),
            layout=w.Layout(width="220px"),
        )
        self.by_class = Classes()
        self.children = [self.by_class, self.classes, self.shown]
        self.classes.observe(lambda _: self._tell(self.answer) if self.answer else None, "value")

    def about(self, trial: Trial | None, against: int | None = None) -> None:
        super().about(trial, against)
        if self._about is None or trial is None:
            self.by_class.show(None, None)
        else:
            self.by_class.show(trial, trial.study.baseline if against is None else trial.study.trial(against))

    def html(self, answer: Answer) -> str:
        labels = sorted({sample["label"] for samples in answer.flips.values() for sample in samples})
        options = [(text("flips.every"), EVERY), *((label, label) for label in labels)]
        if list(self.classes.options) != options:
            self.classes.options = options
        found = {kind: self._chosen(answer.flips.get(kind, [])) for kind in FLIPS}
        parts = [f"<h4>{text(f'flips.{kind}')} ({len(s)})</h4>{_pictures(s)}" for kind, s in found.items() if s]
        return "".join(parts) or f"<p class='wb-hint'>{text('flips.none')}</p>"

    def _chosen(self, samples: list[dict]) -> list[dict]:
        return [s for s in samples if self.classes.value in (EVERY, s["label"])]


class Why(Question):
    """Why it isn't faster."""

    def __init__(self, ask: Ask):
        super().__init__(ask, "why")


def sentences(answer: Answer) -> str:
    """The sentences of an answer as a list."""
    return f"<ul>{''.join(f'<li>{escape(said(sentence))}</li>' for sentence in answer.sentences)}</ul>"


def table(rows: list[dict[str, str]]) -> str:
    """Rows of texts as a table."""
    if not rows:
        return ""
    head = "".join(f"<th scope='col'>{escape(translated('column', name, name))}</th>" for name in rows[0])
    body = "".join(f"<tr>{''.join(map(_cell, row.values()))}</tr>" for row in rows)
    return f"<div class='wb-scroll'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(cell: str) -> str:
    return f"<td>{escape(translated('cell', cell, cell))}</td>"


def _pictures(samples: list[dict]) -> str:
    return (
        "<div class='wb-flips'>"
        + "".join(
            f"<figure>{_picture(s)}<figcaption>{escape(s['before'])} &rarr; {escape(s['after'])}"
            f"<br>{text('flips.is', label=escape(s['label']))}</figcaption></figure>"
            for s in samples
        )
        + "</div>"
    )


def _picture(sample: dict) -> str:
    if not sample["picture"]:
        return ""
    return f"<img src='{sample['picture']}' alt='{text('flips.sample', index=sample['index'])}'>"


def sorry(error: WorkbenchError) -> str:
    """A refusal, as the page shows it."""
    return f"<p class='wb-bad'>{escape(said(str(error)))}</p>"
