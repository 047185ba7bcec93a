"""Questions about a trial that take seconds: asked by a page, answered where trials run, kept in the study."""

import base64
import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image  # small pictures for the page

import workbench
from workbench.disk import refusal, write
from workbench.errors import lookup
from workbench.evaluation import task_of
from workbench.machine import processor
from workbench.runtimes import PACKED, RUNTIMES

if TYPE_CHECKING:
    from workbench.study import Study
    from workbench.trial import Trial

MOST = 48  # samples shown of each kind of flip
EXPORTED = "exports"  # the folder of a trial's files in other formats


@dataclass(frozen=True)
class Answer:
    """Plain data, so that it travels between processes and into a file.

    Attributes
    ----------
    sentences : list of str
    table : list of dict of str to str
        One row of texts for each layer.
    flips : dict of str to list of dict
        By kind (fixed, broken, otherwise), a few samples: index, label, before, after (as their task says them; each
        class by its name), and picture (a data URI; "" for what is no image).
    counts : dict of str to int
        How many samples of each kind there are.
    classes : list of dict of str to str
        One row of texts for each class of a classifier: how many samples, and the share recognized before and after.
    lasting : bool
        Whether it may be kept: nothing in it was refused that may be told another time.
    """

    sentences: list[str]
    table: list[dict[str, str]]
    flips: dict[str, list[dict]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    classes: list[dict[str, str]] = field(default_factory=list)
    lasting: bool = True


def changes(trial: "Trial", against: int | None) -> Answer:
    """What differs from another trial, or from the baseline: answers, classes, and layer by layer."""
    from workbench.compare import FLIPS

    comparison = trial.study.compare(trial.study.baseline if against is None else against, trial)
    dataset, flips = trial.study.dataset, {}
    task = task_of(dataset)
    for kind in FLIPS:
        index = getattr(comparison, kind)[:MOST]
        flips[kind] = [
            {
                "index": int(i),
                "label": task.label_text(y, dataset),
                "before": task.answer_text(a, dataset),
                "after": task.answer_text(b, dataset),
                "picture": picture(x),
            }
            for i, x, y, a, b in zip(index, *comparison.samples(kind), strict=False)
        ]
    counts = {kind: len(getattr(comparison, kind)) for kind in FLIPS}
    table, classes = comparison.table(), comparison.class_table()
    return Answer(comparison.sentences(), table, flips, counts, classes, lasting=not comparison.refused)


def picture(sample: np.ndarray) -> str:
    """A sample (1 or 3, H, W), uint8 or float in its own range, as a PNG in a data URI; "" for any other shape."""
    if sample.ndim != 3 or len(sample) not in (1, 3):
        return ""
    if sample.dtype != np.uint8:
        low, high = float(sample.min()), float(sample.max())
        sample = ((sample - low) / (high - low or 1.0) * 255).astype(np.uint8)
    image = Image.fromarray(sample[0] if len(sample) == 1 else np.ascontiguousarray(sample.transpose(1, 2, 0)))
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def why(trial: "Trial", against: int | None) -> Answer:
    """Why it isn't faster than the baseline, whatever else it is compared with."""
    found = trial.why()
    return Answer(found.sentences(), found.table())


def exports(trial: "Trial", against: int | None) -> Answer:
    """The trial written in every format that can be written here, into its folder; and why not in the others."""
    from workbench.errors import WorkbenchError
    from workbench.exports import EXPORTS

    sentences, rows, lasting = [], [], True
    for format in EXPORTS.values():
        checked = False
        try:
            format.check(trial)  # what isn't installed is told for as long as that is so
            checked = True
            made = format.export(trial, trial.study.storage.folder(trial.number) / EXPORTED / format.name)
        except WorkbenchError as error:
            sentences.append(f"{format.title}: {error}")
            lasting = lasting and not checked
            continue
        parity = f"{made.parity.same_answers:.1%}"
        facts = {"format": format.title, "folder": format.name, "parity": parity, "note": made.note}
        names = {kind: "\n".join(file.name for file in getattr(made, kind)) for kind in ("files", "helpers")}
        rows.append({**facts, **names, "snippet": made.snippet})
    return Answer(sentences, rows, lasting=lasting)


QUESTIONS: dict[str, Callable[["Trial", int | None], Answer]] = {
    "changes": changes,
    "why": why,
    "exports": exports,
}


def answer(study: "Study", number: int, question: str, against: int | None = None) -> Answer:
    """Answer a question by its name; what was answered before, with all alike, is read from the study's folder.

    Parameters
    ----------
    study : Study
    number : int
        The trial that the question is about.
    question : str
    against : int, optional
        The trial to compare it with; the baseline if left out.

    Raises
    ------
    WorkbenchError
        If there is no such question or trial, it can't be answered, or the disk takes no more.
    """
    ask = lookup(QUESTIONS, question, "question")
    known = kept(study, number, question, against)
    if known is None:
        try:
            known = ask(study.trial(number), against)
        except Exception as error:
            if (full := refusal(error)) is not None:
                raise full from error
            raise
        keep(study, number, question, known, against)
    return known


def keep(study: "Study", number: int, question: str, known: Answer, against: int | None = None) -> None:
    """Put an answer into the study's folder, if it is one that lasts."""
    if known.lasting:
        with contextlib.suppress(OSError):  # on a full disk it is asked again
            told = {"given": _given(), "answer": asdict(known)}
            write(_file(study, number, question, against), json.dumps(told))


def kept(study: "Study", number: int, question: str, against: int | None = None) -> Answer | None:
    """The answer that is in the study's folder; None where there is none of this machine with what is installed now."""
    try:
        told = json.loads(_file(study, number, question, against).read_text(encoding="utf-8"))
        return Answer(**told["answer"]) if told["given"] == _given() else None
    except (OSError, ValueError, TypeError, KeyError):  # never asked, damaged, or of an earlier version
        return None


def _given() -> dict[str, str]:
    """What an answer depends on besides its trial: the machine, and the version of all that could have run a file."""
    runtimes = {runtime.name: runtime.version() or "" for runtime in (*RUNTIMES.values(), PACKED)}
    return {"compression-workbench": workbench.__version__, "processor": processor(), **runtimes}


def _file(study: "Study", number: int, question: str, against: int | None) -> Path:
    other = "" if against is None else f"-{against}"
    return study.storage.folder(number) / f"answer-{question}{other}.json"
