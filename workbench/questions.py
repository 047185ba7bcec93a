"""Questions about a trial that take seconds: asked by a page, answered where trials run, kept in the study."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image  # small pictures for the page

from workbench.errors import lookup
from workbench.evaluation import task_of

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
    """

    sentences: list[str]
    table: list[dict[str, str]]
    flips: dict[str, list[dict]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    classes: list[dict[str, str]] = field(default_factory=list)


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
    return Answer(comparison.sentences(), comparison.table(), flips, counts, comparison.class_table())


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

    sentences, rows = [], []
    for format in EXPORTS.values():
        try:
            made = format.export(trial, trial.study.storage.folder(trial.number) / EXPORTED / format.name)
        except WorkbenchError as error:
            sentences.append(f"{format.title}: {error}")
            continue
        parity = f"{made.parity.same_answers:.1%}"
        facts = {"format": format.title, "folder": format.name, "parity": parity, "note": made.note}
        names = {kind: "\n".join(file.name for file in getattr(made, kind)) for kind in ("files", "helpers")}
        rows.append({**facts, **names, "snippet": made.snippet})
    return Answer(sentences, rows)


QUESTIONS: dict[str, Callable[["Trial", int | None], Answer]] = {
    "changes": changes,
    "why": why,
    "exports": exports,
}


def answer(study: "Study", number: int, question: str, against: int | None = None) -> Answer:
    """Answer a question by its name; what was answered before is read from the study's folder.

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
        If there is no such question or trial, or it can't be answered.
    """
    ask = lookup(QUESTIONS, question, "question")
    known = kept(study, number, question, against)
    if known is None:
        known = ask(study.trial(number), against)
        keep(study, number, question, known, against)
    return known


def keep(study: "Study", number: int, question: str, known: Answer, against: int | None = None) -> None:
    """Put an answer into the study's folder."""
    _file(study, number, question, against).write_text(json.dumps(asdict(known)), encoding="utf-8")


def kept(study: "Study", number: int, question: str, against: int | None = None) -> Answer | None:
    """The answer that is in the study's folder, or None."""
    try:
        return Answer(**json.loads(_file(study, number, question, against).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # never asked, or broken off
        return None


def _file(study: "Study", number: int, question: str, against: int | None) -> Path:
    other = "" if against is None else f"-{against}"
    return study.storage.folder(number) / f"answer-{question}{other}.json"
