"""The chosen trial elsewhere: in every runtime that is here, with more threads and inputs in a call, and sparsely."""

from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as w

from widgets.files import code_block, file_content, file_row
from widgets.inside import sentences, sorry, table
from widgets.long_work import LongWork, Start
from widgets.said import said
from widgets.texts import text
from workbench import Cancelled, Trial, WorkbenchError
from workbench.questions import EXPORTED, Answer, kept
from workbench.runtimes import RUNTIMES
from workbench.tasks import FASTEST, Task, last_task


class Timed(LongWork):
    """A timing of one trial that its folder keeps: begun by a button, shown wherever the trial is looked at.

    Parameters
    ----------
    start : callable
        As `LongWork` takes it.
    name : str
        Of the task, which takes the trial's number, and of its answer.
    above : int
        How many of the answer's sentences stand above its table.
    """

    def __init__(self, start: Start, name: str, above: int):
        super().__init__(start, name)
        self._above = above
        self.trial: Trial | None = None
        self.title = w.HTML(f"<h4>{text(f'{name}.title')}</h4><p class='wb-hint'>{text(f'{name}.says')}</p>")
        self.go = self._button("go")
        self.children = [self.title, self.at_work, self.go, self.shown]
        self.go.on_click(lambda _: self._begin(**self.options()) if self.trial else None)

    @property
    def question(self) -> str:
        """By what name the answer is kept with the trial."""
        return self.name

    def options(self) -> dict[str, Any]:
        """What the task is asked for."""
        return {"number": self.trial.number if self.trial else None}

    def about(self, trial: Trial | None) -> None:
        """Be about a trial, or about none; one that was not measured has no file to time."""
        trial = trial if trial is not None and trial.metrics is not None and not trial.metrics.simulated else None
        if _key(trial) != _key(self.trial):
            self.task, self.shown.value, self.words.value = None, "", ""
        self.trial, self.study = trial, trial.study if trial else None
        self._arrange()

    def look(self) -> None:
        """Somebody looks: show what is known, and follow what runs."""
        if self.study is None or self.task is not None:
            return
        self._show()
        task = last_task(self.study, self.name)
        if task is not None and not task.done():
            self._follow(task)

    def html(self, answer: Answer) -> str:
        """How this panel shows an answer."""
        above = "".join(f"<p>{escape(said(sentence))}</p>" for sentence in answer.sentences[: self._above])
        rows = [{name: said(cell) for name, cell in found.items()} for found in answer.table]
        rest = answer.sentences[self._above :]
        return above + table(rows) + self.more() + (sentences(Answer(rest, [])) if rest else "")

    def more(self) -> str:
        """What is shown below the table."""
        return ""

    def _show(self) -> None:
        known = kept(self.trial.study, self.trial.number, self.question) if self.trial else None
        self.shown.value = self.html(known) if known else ""
        self._arrange()

    def _progress(self, facts: dict) -> str:
        number = self.task.options.get("number") if self.task else None
        told = super()._progress(facts)
        other = self.trial is not None and number not in (None, self.trial.number)
        return f"{text('timed.other', number=number)} {told}" if other else told

    def _ended(self, task: Task) -> None:
        self._show()
        try:
            task.result()
        except Cancelled:
            self.words.value = text("timed.stopped")
        except WorkbenchError as error:
            self.shown.value = sorry(error) + self.shown.value
        self._arrange()

    def _arrange(self, further: bool = False) -> None:
        super()._arrange(further)
        self.at_work.layout.display = "" if self.task is not None or self.words.value else "none"
        self.go.layout.display = "" if self.trial is not None and self.task is None else "none"
        self.go.description = text("timed.again") if self.shown.value else text(f"{self.name}.go")


class Everywhere(Timed):
    """A trial in every runtime, and the file that is fastest, to take away."""

    def __init__(self, start: Start):
        super().__init__(start, "runtimes", above=1)

    def more(self) -> str:
        """The fastest file with code that runs it, where it isn't the trial's own."""
        assert self.trial is not None
        folder = self.trial.study.storage.folder(self.trial.number) / EXPORTED / FASTEST
        return "".join(_file(path, self.trial) for path in sorted(folder.glob("*")))


class ByThreads(Timed):
    """A trial by threads and inputs in a call, in the study's runtime or another one that is here."""

    def __init__(self, start: Start):
        super().__init__(start, "grid", above=2)
        layout, style = w.Layout(width="270px"), {"description_width": "32px"}
        self.where = w.Dropdown(
            description=text("grid.where"), tooltip=text("grid.where.help"), layout=layout, style=style
        )
        self.children = [self.title, self.where, *self.children[1:]]
        self.where.observe(lambda change: self._show(), "value")

    @property
    def question(self) -> str:
        return f"grid-{self._other}" if self._other else "grid"

    def options(self) -> dict[str, Any]:
        return super().options() | ({"runtime": self._other} if self._other else {})

    def about(self, trial: Trial | None) -> None:
        before = self.study
        super().about(trial)
        if self.study is not None and self.study is not before:
            device, own = self.study.device, self.study.runtime
            here = [(r.title, r.name) for r in RUNTIMES.values() if r.version() and device in r.devices_here()]
            if (own.title, own.name) not in here:
                here.insert(0, (own.title, own.name))
            self.where.options = here
            self.where.value = own.name

    def _follow(self, task: Task) -> None:
        if self.study is not None and self.trial is not None and task.options.get("number") == self.trial.number:
            self.where.value = task.options.get("runtime", self.study.runtime.name)
        super()._follow(task)

    @property
    def _other(self) -> str:
        """The name of the runtime that is picked; "" where that is the study's own."""
        own = self.study.runtime.name if self.study is not None else ""
        return "" if self.where.value in (None, own) else self.where.value

    def _arrange(self, further: bool = False) -> None:
        super()._arrange(further)
        if hasattr(self, "where"):
            self.where.disabled = self.task is not None


class Elsewhere(w.VBox):
    """The page of the chosen trial about runtimes, threads, batches and zeros; it is made when somebody looks first.

    Parameters
    ----------
    start : callable
        As `LongWork` takes it.
    """

    def __init__(self, start: Start):
        self._start = start
        self._trial: Trial | None = None
        self._looked = False
        self.none = w.HTML(f"<p class='wb-hint'>{text('timed.none')}</p>")
        super().__init__([self.none])

    @cached_property
    def everywhere(self) -> Everywhere:
        """The trial in every runtime."""
        return Everywhere(self._start)

    @cached_property
    def grid(self) -> ByThreads:
        """The trial by threads and inputs in a call."""
        return ByThreads(self._start)

    @cached_property
    def crossovers(self) -> Timed:
        """From how many zeros on the trial's layers are faster if they skip them."""
        return Timed(self._start, "crossovers", above=1)

    def about(self, trial: Trial | None) -> None:
        """Be about a trial, or about none."""
        self._trial = trial
        if self._looked:
            self._arrange()

    def look(self) -> None:
        """Somebody looks."""
        if not self._looked:
            self._looked = True
            self.children = [self.none, *self._parts()]
            self._arrange()
        for part in self._parts():
            part.look()

    def _parts(self) -> tuple[Timed, ...]:
        return self.everywhere, self.grid, self.crossovers

    def _arrange(self) -> None:
        for part in self._parts():
            part.about(self._trial)
            part.layout.display = "" if part.trial is not None else "none"
        self.none.layout.display = "none" if self.grid.trial is not None else ""


def _key(trial: Trial | None) -> tuple[Path, int] | None:
    return (trial.study.path, trial.number) if trial is not None else None


def _file(path: Path, trial: Trial) -> str:
    runtime = RUNTIMES.get(path.stem)
    if runtime is None:
        return ""
    name = f"{trial.download_name().rsplit('.', 1)[0]}-{path.name}"
    rows = file_row(name, path.stat().st_size, "fastest", file_content(path))
    rows += "".join(file_row(helper, None, "helper", told.encode()) for helper, told in runtime.helpers().items())
    hint = text("runtimes.take", runtime=escape(runtime.title))
    code = code_block(runtime.snippet(name), escape(runtime.title))
    return (
        f"<h4>{text('runtimes.file')}</h4><table class='wb-files'><tbody>{rows}</tbody></table>"
        f"<p class='wb-hint'>{hint}</p>"
        f"<details><summary>{text('files.snippet')}</summary>{code}</details>"
    )
