"""What is inside a trial: answers that take the worker a few seconds, asked for when somebody looks."""

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from html import escape

import ipywidgets as w

from workbench import Trial, WorkbenchError
from workbench.questions import Answer, kept

TITLES = {"changes": "What changed, layer by layer", "why": "Why isn't it faster?"}
FLIPS = {"broken": "Right before, wrong now", "fixed": "Wrong before, right now", "otherwise": "Wrong in another way"}
Ask = Callable[[Trial, str], "Future[Answer]"]


class Inside(w.Accordion):
    """One fold for each question; unfolding it asks, and shows the answer when it comes.

    Parameters
    ----------
    ask : callable
        (trial, question) -> future of the answer.
    """

    def __init__(self, ask: Ask):
        self._ask, self._trial = ask, None  # type: Ask, Trial | None
        self.answers = {question: w.HTML() for question in TITLES}
        super().__init__(list(self.answers.values()), titles=tuple(TITLES.values()), selected_index=None)
        self.add_class("wb-inside")
        self.add_class("wb-more")
        self.observe(lambda _: self._look(), "selected_index")
        self.show(None)

    def show(self, trial: Trial | None) -> None:
        """Be about a trial, or about none; a failed one and the baseline have nothing inside to compare."""
        self._trial = trial if trial is not None and trial.metrics is not None and len(trial.recipe) else None
        self.layout.display = "" if self._trial else "none"
        for shown in self.answers.values():
            shown.value = ""
        self._look()

    def _look(self) -> None:
        if self._trial is None or self.selected_index is None:
            return
        question = list(TITLES)[self.selected_index]
        trial, shown = self._trial, self.answers[question]
        if shown.value:
            return
        known = kept(trial.study, trial.number, question)
        if known is not None:
            shown.value = _html(known)
            return
        shown.value = "<p>Looking inside: this takes up to a minute, after what runs now&hellip;</p>"
        try:
            future = self._ask(trial, question)
        except WorkbenchError as error:
            shown.value = _sorry(error)
            return
        future.add_done_callback(lambda done: self._told(done, trial, shown))

    def _told(self, future: "Future[Answer]", trial: Trial, shown: w.HTML) -> None:
        try:
            said = _html(future.result())
        except CancelledError:
            said = "<p>Broken off. Choose the trial again to ask once more.</p>"
        except WorkbenchError as error:
            said = _sorry(error)
        except Exception as error:  # a worker that died, or could not load the study
            said = _sorry(WorkbenchError(f"This could not be answered: {type(error).__name__}: {error}."))
        if self._trial is not None and self._trial.number == trial.number and self._trial.study is trial.study:
            shown.value = said


def _html(answer: Answer) -> str:
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in answer.sentences)
    return f"<ul>{said}</ul>{_flips(answer)}{_table(answer.table)}"


def _flips(answer: Answer) -> str:
    parts = []
    for kind, title in FLIPS.items():
        samples = answer.flips.get(kind, [])
        if not samples:
            continue
        shown = "".join(
            f"<figure><img src='{s['picture']}' alt='sample {s['index']}'>"
            f"<figcaption>{escape(s['before'])} &rarr; {escape(s['after'])}<br>is {escape(s['label'])}</figcaption>"
            "</figure>"
            for s in samples
            if s["picture"]
        )
        parts.append(f"<h4>{title}</h4><div class='wb-flips'>{shown}</div>" if shown else "")
    return "".join(parts)


def _table(rows: list[dict[str, str]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row.values()) + "</tr>" for row in rows)
    return f"<div class='wb-scroll'><table><tr>{head}</tr>{body}</table></div>"


def _sorry(error: WorkbenchError) -> str:
    return f"<p class='wb-bad'>{escape(str(error))}</p>"
