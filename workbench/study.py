"""A study: one model, dataset, runtime and device, its baseline, and every trial ever run, in one folder."""

import contextlib
import copy
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.data import Dataset, load_dataset
from workbench.disk import refusal
from workbench.errors import Cancelled, WorkbenchError
from workbench.foresight import Foresight, OnProgress
from workbench.identity import check_same, identity
from workbench.memory import HINT, release, shortage
from workbench.metrics import Metrics
from workbench.models import check_name, fitted, load_model
from workbench.objectives import front
from workbench.recipe import Recipe
from workbench.runtimes import load_runtime
from workbench.speeds import Speeds
from workbench.steps import Distill, Quantize
from workbench.storage import BY_USER, Label, Record, Storage, this_process
from workbench.trial import Trial

if TYPE_CHECKING:
    from torch import nn

    from workbench.compare import Comparison


class Study(Foresight, Speeds):
    """One model under compression.

    Parameters
    ----------
    model : str or torch.nn.Module
        A zoo model (``lenet300``, ``lenet5``, ``resnet20``), or your own: float32 (N, ...) to
        (N, classes), or to whatever the dataset's task asks for.
    dataset : str or Dataset
        ``mnist``, ``fashion_mnist``, ``cifar10``, or your own.
    runtime : str
        ``onnxruntime``, ``torch``, ``inductor``, or ``openvino`` where it is installed: what executes the file that
        ships.
    device : str
        ``cpu`` or ``cuda``.
    path : str or pathlib.Path, optional
        The study's folder; an existing one goes on. ``runs/MODEL-DATASET-RUNTIME`` if left out.
    example_input : array, optional
        For an own model: one prepared input or batch, to check that the dataset fits.
    threads, batch : int
        How latency is measured: processor threads of the runtime, and inputs in one call.

    Raises
    ------
    WorkbenchError
        If a name is unknown, the parts don't fit, or the folder can't be used or holds another study.
    """

    def __init__(
        self,
        model: "str | nn.Module",
        dataset: str | Dataset,
        runtime: str = "onnxruntime",
        device: str = "cpu",
        path: str | Path | None = None,
        example_input: Any = None,
        threads: int = 1,
        batch: int = 1,
    ):
        self._model, self._dataset = model, dataset
        self.runtime = load_runtime(runtime).suited(threads, batch, device)
        self.runtime.check(device=device)
        self.device, self.threads, self.batch = device, threads, batch
        self.settings = identity(model, dataset, runtime, device, threads, batch)
        names = self.settings["model"], self.settings["dataset"], runtime, device
        self.path = Path(path or Path("runs", study_folder(*names))).resolve()
        self.storage = Storage(self.path)
        self._seen: dict[int, tuple[Record, Trial]] = {}
        if known := self.storage.settings():
            check_same(known, self.settings, self.path)
        else:
            self.storage.save_settings(self.settings)
        self.storage.mark_lost()
        if example_input is not None:
            self._check_example(example_input)

    @classmethod
    def open(cls, path: str | Path) -> "Study":
        """The study in a folder, where its model and dataset are known by name.

        Raises
        ------
        WorkbenchError
            If there is none, or it needs your own model or dataset: then pass them to `Study` with this path.
        """
        if not (Path(path) / "study.db").exists():
            raise WorkbenchError(f"There is no study in {path}.", "Make one with wb.Study(..., path=...).")
        known = Storage(Path(path)).settings()
        own = known.pop("own", None)
        known.pop("hashes", None)
        if own or not known:
            raise WorkbenchError(
                f"The study in {path} has its own model or dataset.", "Open it with wb.Study(model, dataset, path=...)."
            )
        return cls(path=path, **known)

    def __repr__(self) -> str:
        s = self.settings
        what = f"{s['model']!r}, {s['dataset']!r}, runtime={s['runtime']!r}"
        return f"Study({what}, {len(self.trials)} trials in {self.path})"

    def _repr_html_(self) -> str:
        from workbench.cards import study_card

        return study_card(self)

    def __reduce__(self) -> tuple:
        parts = self._model, self._dataset, self.settings["runtime"], self.device, self.path
        return Study, (*parts, None, self.threads, self.batch)

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset, as the model takes it."""
        dataset = load_dataset(self._dataset) if isinstance(self._dataset, str) else self._dataset
        return fitted(self._model, dataset) if isinstance(self._model, str) else dataset

    @cached_property
    def module(self) -> "nn.Module":
        """The baseline module, in evaluation mode; change a copy, never this."""
        if isinstance(self._model, str):
            return load_model(self._model, self.dataset)
        return copy.deepcopy(self._model).to("cpu").eval()

    @property
    def trials(self) -> list[Trial]:
        """Every trial that was not deleted, by number; the baseline is number 0."""
        labels = self.storage.labels()
        deleted = {number for number, label in labels.items() if label.deleted}
        known, now = self._seen, {}
        for record in self.storage.records():
            kept = known.get(record.number)
            now[record.number] = kept if kept and kept[0] is record else (record, Trial(self, record))
        self._seen = now
        return [trial for number, (_, trial) in now.items() if number not in deleted]

    @property
    def baseline(self) -> Trial:
        """The unchanged model as a trial, measured now if it never was."""
        return self.measured_baseline()

    def measured_baseline(self, on_progress: OnProgress | None = None) -> Trial:
        """As `baseline`, with progress; raises `Cancelled` if `on_progress` does."""
        done = (r for r in self.storage.records() if r.state == "complete" and not r.recipe["steps"])
        if record := next(done, None):
            return Trial(self, record)
        trial = self.run(Recipe(), on_progress)
        if trial.state == "cancelled":
            raise Cancelled
        if trial.metrics is None:
            raise WorkbenchError("The baseline could not be measured.", trial.reason)
        return trial

    def trial(self, number: int) -> Trial:
        """One trial by its number; raises `WorkbenchError` if there is none."""
        return Trial(self, self.storage.record(number))

    def check(self, recipe: Recipe) -> None:
        """Refuse a recipe that this study's runtime can't run, or not export here, before any work."""
        self.runtime.check_export()
        for step in recipe:
            if isinstance(step, Quantize):
                self.runtime.check(step, self.device)
            if isinstance(step, Distill):
                for name, known in ((step.teacher, ("baseline", "self")), (step.student, ("same",))):
                    if name not in known:
                        check_name(name)

    def run(self, recipe: Recipe, on_progress: OnProgress | None = None) -> Trial:
        """Carry out a recipe in this process, measure the artifact, and store it all.

        Parameters
        ----------
        recipe : Recipe
        on_progress : callable, optional
            Called with a dict of facts: step, steps, name, share in [0, 1], and loss, accuracy, epoch or message.
            Raise `Cancelled` in it to stop.

        Returns
        -------
        Trial
            Also when it failed or was cancelled: then with its reason, and without metrics.

        Raises
        ------
        WorkbenchError
            If the runtime has no kernels for the recipe, or the study can't be written.
        """
        self.check(recipe)
        if len(recipe):
            self.measured_baseline(on_progress)
        record = self.storage.add(recipe.to_dict(), recipe.hash)
        return self.execute(record.number, on_progress)

    def execute(self, number: int, on_progress: OnProgress | None = None) -> Trial:
        """Carry out a stored trial: what `run` and the workers have in common."""
        from workbench.carry_out import carry_out

        record = self.storage.record(number)
        record.state, record.process, record.seconds = "running", this_process(), 0.0
        record.prediction = self.foreseen(record)
        self.storage.save(record)
        started = time.time()
        try:
            carry_out(self, record, on_progress or (lambda facts: None))
            record.state = "complete"
        except Cancelled:
            record.state, record.reason = "cancelled", BY_USER
        except KeyboardInterrupt:
            record.state, record.reason = "cancelled", "Interrupted from the keyboard."
        except WorkbenchError as error:
            record.state, record.reason = "failed", str(error)
        except Exception as error:  # a failed trial is a result: nothing kills a study
            unexpected = f"Something unexpected went wrong: {type(error).__name__}: {str(error)[:300]}"
            record.state, short, full = "failed", shortage(error), refusal(error)
            record.reason = f"{short} {HINT}" if short else str(full or unexpected)
            self._keep_traceback(number)
        if record.state != "complete":
            record.metrics = None
            release()
        record.seconds = (record.seconds or 0.0) + time.time() - started
        self.storage.save(record)
        return Trial(self, record)

    @property
    def labels(self) -> dict[int, Label]:
        """What was said of trials with `label`, by number."""
        return self.storage.labels()

    def label(self, trial: Trial | int, **changes: Any) -> Label:
        """Say something of a trial: ``name``, ``note``, ``star``, ``parent`` (the trial that its recipe was made from).

        With ``deleted=True`` it is left out of `trials` and of every front until ``deleted=False``; its files stay.

        Raises
        ------
        WorkbenchError
            If there is no such trial, a text is too long, or the baseline is to be deleted.
        """
        number = trial if isinstance(trial, int) else trial.number
        if changes.get("deleted"):
            chosen = self.trial(number)
            if not len(chosen.recipe) and chosen.metrics:
                raise WorkbenchError("The baseline can't be deleted.", "Every trial is measured against it.")
            if not chosen.finished:
                raise WorkbenchError(f"Trial {number} is {chosen.state}.", "Cancel it first.")
        return self.storage.label(number, **changes)

    def pareto(self, objectives: Sequence[str] = ("score", "size_bytes", "latency")) -> list[Trial]:
        """The complete trials that no other beats on every objective at once.

        Latency is compared by the speed-up against the baseline, as only paired figures are comparable; a trial whose
        speed is not claimed is left out where latency is an objective.

        Parameters
        ----------
        objectives : sequence of str
            Of score (for a classifier also accuracy), size_bytes, latency, speedup, macs, parameters, memory, energy.

        Raises
        ------
        WorkbenchError
            On an unknown objective, or one that no trial has.
        """
        return front(self.trials, objectives)

    def compare(self, a: "Trial | int", b: "Trial | int") -> "Comparison":
        """Trial `b` against trial `a`: flips with their inputs, classes, and layer by layer where they part.

        Parameters
        ----------
        a, b : Trial or int
            Complete trials of this study, or their numbers.
        """
        from workbench.compare import compare

        return compare(*(self.trial(t) if isinstance(t, int) else t for t in (a, b)))

    def report(self, path: str | Path, closely: Sequence[int] | None = None) -> Path:
        """Write one self-contained page: plots, trials, recipes, machine, how it was measured, and doubts.

        Parameters
        ----------
        path : str or pathlib.Path
        closely : sequence of int, optional
            Trials to set against the baseline: the samples they answer otherwise, classes, layers, and why they aren't
            faster, which takes some seconds for each. Three of the Pareto front if left out; ``[]`` for none.

        Raises
        ------
        WorkbenchError
            If nothing was measured yet, or the file can't be written.
        """
        from workbench.report import write_report

        return write_report(self, path, closely)

    def test(self, trial: Trial) -> Metrics:
        """Open the test split for one trial: counted, as tuning on it would spoil it.

        Returns
        -------
        Metrics
            As the trial's own, with accuracy on the test split.
        """
        from workbench.carry_out import open_test

        opening = self.storage.open_test(trial.number)  # counted before the look, whatever comes of it
        metrics = open_test(self, trial)
        self.storage.close_test(opening, metrics)
        return metrics

    @property
    def test_openings(self) -> int:
        """How often the test split was opened in this study."""
        return len(self.storage.openings())

    def _check_example(self, example: Any) -> None:
        shape = tuple(np.shape(example))
        wanted = self.dataset.sample_shape
        if shape not in (wanted, shape[:1] + wanted):
            raise WorkbenchError(
                f"The example input has shape {shape}, the dataset's inputs have {wanted}.", "Make them the same."
            )

    def _keep_traceback(self, number: int) -> None:
        import traceback

        with contextlib.suppress(OSError):
            (self.storage.folder(number) / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")


def study_folder(model: str, dataset: str, runtime: str, device: str = "cpu") -> str:
    """The usual name of a study's folder: ``lenet5-mnist-onnxruntime``."""
    return "-".join([model, dataset, runtime, *([device] if device != "cpu" else [])]).replace(" ", "-")
