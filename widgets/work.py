"""Work under way: what runs, how far it is, how long it takes, and the button that stops it."""

import threading
import time
from collections.abc import Callable
from html import escape

import ipywidgets as w

from widgets.said import said
from widgets.texts import text
from widgets.words import recipe_words
from workbench import WorkbenchError
from workbench.workers import Job

PAUSE = 0.2  # seconds between two looks at the progress
SELDOM = 5  # looks between two that are told to others


class WorkBar(w.HBox):
    """A progress bar over a queue of jobs.

    Parameters
    ----------
    on_done : callable
        Called with each job when it ends, in a thread of this panel.
    on_progress : callable, optional
        Called with the job that runs, about once a second.
    move : callable, optional
        Lets a job that waits run so many places later, or earlier; tells whether it could.
    show : callable, optional
        Shows the search that `search` told of.
    stop : callable, optional
        Stops it.
    """

    def __init__(
        self,
        on_done: Callable[[Job], None],
        on_progress: Callable[[Job], None] = lambda job: None,
        move: Callable[[Job, int], bool] = lambda job, by: False,
        show: Callable[[], None] = lambda: None,
        stop: Callable[[], None] = lambda: None,
    ):
        self._on_done, self._on_progress, self._move = on_done, on_progress, move
        self._jobs: list[Job] = []
        self._share: float | None = None  # of a search's budget that is spent, where one runs
        self._watching = threading.Lock()
        self.bar = w.FloatProgress(min=0, max=1, layout=w.Layout(width="110px", height="14px"))
        self.text = w.HTML(text("work.none"), layout=w.Layout(flex="1", min_width="0"))
        self.cancel = w.Button(
            description=text("work.cancel"), tooltip=text("work.cancel.help"), layout=w.Layout(width="84px")
        )
        self.cancel.on_click(lambda _: self._stop())
        self.waiting = w.Dropdown(options=[], tooltip=text("work.waiting.help"), layout=w.Layout(width="190px"))
        self.remove = w.Button(description="✕", tooltip=text("work.remove"), layout=w.Layout(width="34px"))
        self.remove.on_click(lambda _: self._withdraw())
        self.up, self.down = (
            w.Button(description=sign, tooltip=text(key), layout=w.Layout(width="34px"))
            for sign, key in (("↑", "work.sooner"), ("↓", "work.later"))
        )
        self.up.on_click(lambda _: self._reorder(-1))
        self.down.on_click(lambda _: self._reorder(1))
        self.waiting.observe(lambda _: self._ends(), "value")
        self.to_search, self.stop_search = (
            w.Button(description=text(key), tooltip=text(f"{key}.help"), layout=w.Layout(width="auto", display="none"))
            for key in ("work.search.show", "work.search.stop")
        )
        self.to_search.on_click(lambda _: show())
        self.stop_search.on_click(lambda _: stop())
        queue = [self.waiting, self.up, self.down, self.remove, self.cancel]
        super().__init__([self.bar, self.text, *queue, self.to_search, self.stop_search])
        self.add_class("wb-work")
        self._rest()

    def watch(self, job: Job) -> None:
        """Follow a job until it ends, unless it is followed already."""
        if any((job.study.path, job.number) == (known.study.path, known.number) for known in self._jobs):
            return
        self._jobs.append(job)
        self._list()
        threading.Thread(target=self._follow, daemon=True).start()

    def search(self, share: float | None, words: str = "") -> None:
        """Tell of a search: what share of its budget is spent, and a line of words; None where none runs.

        It has the bar where no trial is followed, else it is named beside the trial. To cancel the trial is not to stop
        the search: that has a button of its own.
        """
        was, self._share = self._share, share
        if share is was is None:
            return
        for part in (self.to_search, self.stop_search):
            part.layout.display = "none" if share is None else ""
        if not self._jobs and self._watching.acquire(blocking=False):  # else a trial begins just now
            try:
                self._rest()
                self.text.value = text("work.none") if share is None else escape(words)
            finally:
                self._watching.release()

    def restate(self) -> None:
        """Say it in the language in use."""
        self.cancel.description, self.cancel.tooltip = text("work.cancel"), text("work.cancel.help")
        self.waiting.tooltip, self.remove.tooltip = text("work.waiting.help"), text("work.remove")
        self.up.tooltip, self.down.tooltip = text("work.sooner"), text("work.later")
        for part, key in ((self.to_search, "work.search.show"), (self.stop_search, "work.search.stop")):
            part.description, part.tooltip = text(key), text(f"{key}.help")
        if not self._jobs:
            self.text.value = text("work.none")

    def _list(self) -> None:
        """Offer the jobs that wait; one that was removed is passed over when its turn comes."""
        waiting = [job for job in self._jobs[1:] if not job.done()]
        chosen = self.waiting.value
        named = [(f"{job.number} · {recipe_words(job.trial().recipe)}", job.number) for job in waiting]
        if list(self.waiting.options) != named:
            self.waiting.options = named
            self.waiting.value = chosen if chosen in [number for _, number in named] else named[0][1] if named else None
        self._ends()
        for part in (self.waiting, self.remove):
            part.layout.display = "" if named else "none"
        for part in (self.up, self.down):
            part.layout.display = "" if len(named) > 1 else "none"

    def _ends(self) -> None:
        """The first can't run sooner, nor the last later."""
        numbers = [number for _, number in self.waiting.options]
        self.up.disabled = not numbers or self.waiting.value == numbers[0]
        self.down.disabled = not numbers or self.waiting.value == numbers[-1]

    def _reorder(self, by: int) -> None:
        """Let the chosen one of what waits run sooner or later."""
        job = next((job for job in self._jobs[1:] if job.number == self.waiting.value), None)
        if job is not None and self._move(job, by):
            at = self._jobs.index(job)
            self._jobs.insert(max(1, at + by), self._jobs.pop(at))
        self._list()

    def _withdraw(self) -> None:
        for job in self._jobs[1:]:
            if job.number == self.waiting.value:
                try:
                    job.cancel()
                except WorkbenchError as error:
                    self.text.value = escape(said(str(error)))
        self._list()

    def _rest(self) -> None:
        """No trial runs: there is none to stop. A search may run between its trials."""
        self.cancel.disabled, self.bar.value = True, self._share or 0.0
        self._list()
        self.cancel.layout.visibility = "hidden"
        self.cancel.layout.display = "" if self._share is None else "none"  # room for the words
        if self._share is None:
            self.bar.layout.visibility = "hidden"
            self.remove_class("wb-busy")
        else:
            self.bar.layout.visibility = "visible"
            self.add_class("wb-busy")

    def _stop(self) -> None:
        if self._jobs:
            self.cancel.disabled = True
            self.text.value = text("work.stopping")
            try:
                self._jobs[0].cancel()
            except WorkbenchError as error:
                self.text.value = escape(said(str(error)))

    def _follow(self) -> None:
        with self._watching:  # one job after the other
            job, looks = self._jobs[0], 0
            self._list()
            self.cancel.disabled = False
            self.bar.layout.visibility = self.cancel.layout.visibility = "visible"
            self.cancel.layout.display = ""
            self.add_class("wb-busy")
            try:
                while not job.done():
                    if not self.cancel.disabled:
                        self._show(job)
                    if looks % SELDOM == 0:
                        self._on_progress(job)
                    looks += 1
                    time.sleep(PAUSE)
                trial = job.trial()
                took = text("work.took", seconds=f"{trial.seconds:.1f}") if trial.seconds else ""
                state = text(f"state.{trial.state}")
                ended = text("work.ended", number=trial.number, state=state, took=took)
                self.text.value = f"{ended} {escape(said(trial.reason))}"
            except WorkbenchError as error:
                self.text.value = escape(said(str(error)))
            finally:
                self._jobs.pop(0)
                self._rest()
            self._on_done(job)

    def _show(self, job: Job) -> None:
        trial = job.trial()
        last = trial.last_progress
        waiting = " &middot; " + text("work.more", count=len(self.waiting.options)) if self.waiting.options else ""
        if self._share is not None:
            waiting += " &middot; " + text("work.search", share=f"{self._share:.0%}")
        if not last:
            key = "work.starting" if trial.state == "running" else "work.waiting"
            self.text.value = text(key, number=trial.number) + waiting
            return
        share = last.get("share", 0.0)
        self.bar.value = (last["stage"] + share) / last["stages"]
        told = escape(said(last.get("message") or last["name"]))
        if "loss" in last:
            told = text("work.epoch", name=last["name"], epoch=f"{last['epoch']:.1f}", loss=f"{last['loss']:.3f}")
            told += text("work.reached", accuracy=f"{last['reached']:.2%}") if last["reached"] is not None else ""
        spent = last["time"] - last["since"]
        if share > 0.03 and spent > 1:
            told += " &middot; " + text("work.left", seconds=f"{spent * (1 - share) / share:.0f}")
        stage = text("work.stage", number=trial.number, stage=last["stage"] + 1, stages=last["stages"])
        self.text.value = f"{stage} {told}{waiting}"
