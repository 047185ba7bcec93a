"""Speeds: what a study can tell of how fast its models would be elsewhere."""

import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from workbench.errors import WorkbenchError
from workbench.foresight import OnProgress, reporting

if TYPE_CHECKING:
    from workbench.best import Best
    from workbench.crossover import Crossover
    from workbench.study import Study
    from workbench.thread_grid import Grid
    from workbench.trial import Trial


class Speeds:
    """The part of a `Study` that times its files in other runtimes and settings than its own."""

    def best_runtime(
        self,
        trial: "Trial | int",
        budget: str | timedelta = "2 min",
        on_progress: OnProgress | None = None,
        keep: Path | None = None,
    ) -> "Best":
        """The fastest runtime for a trial on this machine, by running it in each; says what each gave.

        Parameters
        ----------
        trial : Trial or int
            A complete one, or its number.
        budget : str or datetime.timedelta
            Time, such as ``"90 s"``; what can't be prepared within it is left out, and named. Two minutes are enough to
            compile a small model with Inductor.
        on_progress : callable, optional
            As in `run`.
        keep : pathlib.Path, optional
            A folder that the fastest file is copied to, where it is not the trial's own.

        Raises
        ------
        WorkbenchError
            If the trial has no file, or one whose speed is not claimed; or on a budget that is no time.
        """
        from workbench.best import best_runtime
        from workbench.candidates import Subject
        from workbench.search.budget import Budget

        study = cast("Study", self)
        seconds = Budget.of(budget).seconds
        if seconds is None:
            raise WorkbenchError(f"A budget of {budget} is no time.", 'Write "90 s" or "2 min".')
        chosen = study.trial(trial) if isinstance(trial, int) else trial
        subject = Subject.of(chosen, study.batch)
        return best_runtime(
            subject,
            chosen.runtime,
            seconds=seconds,
            threads=study.threads,
            device=study.device,
            keep=keep,
            report=reporting(on_progress),
        )

    def grid(
        self,
        trial: "Trial | int",
        threads: Sequence[int] | None = None,
        batches: Sequence[int] = (1, 16),
        on_progress: OnProgress | None = None,
        runtime: str | None = None,
    ) -> "Grid":
        """A trial's file with so many threads and so many inputs in a call, each against the baseline's file.

        Parameters
        ----------
        trial : Trial or int
            A complete one, or its number.
        threads : sequence of int, optional
            One and as many as there are processors, if left out.
        batches : sequence of int
        on_progress : callable, optional
            As in `run`.
        runtime : str, optional
            Where both are run; the study's own if left out. For another one the trial is exported with its own
            integers or 16-bit floats, as in `best_runtime`, and so is the baseline.

        Raises
        ------
        WorkbenchError
            If the trial has no file, or one whose speed is not claimed; on more threads than processors; or if the
            runtime isn't here, or can't run the trial with its own numbers.
        """
        from workbench.candidates import Subject
        from workbench.layers import batch_of
        from workbench.machine import processors
        from workbench.runtimes import load_runtime
        from workbench.thread_grid import grid

        study = cast("Study", self)
        chosen = study.trial(trial) if isinstance(trial, int) else trial
        baseline = study.baseline
        same = chosen.number == baseline.number
        elsewhere = load_runtime(runtime).suited(study.threads, study.batch, study.device) if runtime else None
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for one in (baseline, chosen):
                place, own = Path(folder, str(one.number)), Subject.of(one, 1)
                place.mkdir(exist_ok=True)
                where = elsewhere if elsewhere is not None and elsewhere.name != one.runtime.name else one.runtime
                where.check(device=study.device)
                files.append((where, own.file_for(where, place)[0]))
            return grid(
                files[0],
                files[1],
                lambda count: batch_of(study.dataset, count),
                sorted({1, processors()}) if threads is None else threads,
                batches,
                reference="" if same else "the baseline's speed",
                device=study.device,
                report=reporting(on_progress),
            )

    def crossovers(self, trial: "Trial | int", on_progress: OnProgress | None = None) -> "list[Crossover]":
        """For each shape of a layer of a trial: from how many zeros on a sparse product beats the dense one here.

        Parameters
        ----------
        trial : Trial or int
            A complete one, or its number.
        on_progress : callable, optional
            As in `run`.

        Returns
        -------
        list of Crossover
            The whole curve of each shape, measured with the study's threads and batch.
        """
        from workbench.crossover import crossover
        from workbench.layers import batch_of
        from workbench.runtimes.sparse import shapes

        study = cast("Study", self)
        chosen = study.trial(trial) if isinstance(trial, int) else trial
        report = reporting(on_progress)
        every = list(dict.fromkeys(shape for _, _, shape in shapes(chosen.module(), batch_of(study.dataset, 1))))
        found = []
        for index, shape in enumerate(every):
            report(share=index / len(every), name="Sparse", message=f"Timing {shape}")
            found.append(crossover(shape, study.threads, study.batch, whole=True))
        report(share=1.0, name="Sparse", message="Done")
        return found
