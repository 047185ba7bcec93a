"""Work under way: what runs, how far it is, how long it takes, and the button that stops it."""

import threading
import time
from collections.abc import Callable
from html import escape

import ipywidgets as w

from workbench import WorkbenchError
from workbench.workers import Job

PAUSE = 0.2  # seconds between two looks at the progress


class WorkBar(w.VBox):
    """A progress bar over a queue of jobs.

    Parameters
    ----------
    on_done : callable
        Called with each job when it ends, in a thread of this panel.
    """

    def __init__(self, on_done: Callable[[Job], None]):
        self._on_done = on_done
        self._jobs: list[Job] = []
        self._watching = threading.Lock()
        self.bar = w.FloatProgress(min=0, max=1, layout=w.Layout(flex="1", height="18px", min_width="80px"))
        self.text = w.HTML("Nothing is running.", layout=w.Layout(flex="3", min_width="0"))
        self.cancel = w.Button(
            description="Cancel", tooltip="Stop what runs now", disabled=True, layout=w.Layout(width="90px")
        )
        self.cancel.on_click(lambda _: self._stop())
        super().__init__([w.HBox([self.bar, self.text, self.cancel], layout=w.Layout(align_items="center"))])
        self.add_class("wb-work")

    def watch(self, job: Job) -> None:
        """Follow a job until it ends."""
        self._jobs.append(job)
        threading.Thread(target=self._follow, daemon=True).start()

    def _stop(self) -> None:
        if self._jobs:
            self.cancel.disabled = True
            self.text.value = "Stopping&hellip;"
            try:
                self._jobs[0].cancel()
            except WorkbenchError as error:
                self.text.value = escape(str(error))

    def _follow(self) -> None:
        with self._watching:  # one job after the other
            job = self._jobs[0]
            self.cancel.disabled = False
            try:
                while not job.done():
                    if not self.cancel.disabled:
                        self._show(job)
                    time.sleep(PAUSE)
                trial = job.trial()
                took = f" in {trial.seconds:.1f} s" if trial.seconds else ""
                self.text.value = f"Trial {trial.number} is {trial.state}{took}. {escape(trial.reason)}"
            except WorkbenchError as error:
                self.text.value = escape(str(error))
            finally:
                self._jobs.pop(0)
                self.cancel.disabled = True
                self.bar.value = 0
            self._on_done(job)

    def _show(self, job: Job) -> None:
        trial = job.trial()
        last = trial.last_progress
        waiting = f" &middot; {len(self._jobs) - 1} more waiting" if len(self._jobs) > 1 else ""
        if not last:
            started = "is about to start" if trial.state == "running" else "waits for a worker to be ready"
            self.text.value = f"Trial {trial.number} {started}&hellip;{waiting}"
            return
        share = last.get("share", 0.0)
        self.bar.value = (last["stage"] + share) / last["stages"]
        told = last.get("message") or last["name"]
        if "loss" in last:
            told = f"{last['name']}: epoch {last['epoch']:.1f}, loss {last['loss']:.3f}"
            told += f", validation accuracy {last['reached']:.2%}" if last["reached"] is not None else ""
        spent = last["time"] - last["since"]
        if share > 0.03 and spent > 1:
            told += f" &middot; about {spent * (1 - share) / share:.0f} s left in this step"
        self.text.value = f"Trial {trial.number}, step {last['stage'] + 1} of {last['stages']}: {told}{waiting}"
