"""A study: one model, dataset, runtime and device, its baseline, and every trial ever run, in one folder."""

import contextlib
import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.data import DATASETS, Dataset, fingerprint, load_dataset
from workbench.errors import Cancelled, WorkbenchError, lookup
from workbench.metrics import Metrics
from workbench.models import MODELS, fitted, load_model
from workbench.recipe import Recipe
from workbench.runtimes import load_runtime
from workbench.steps import Distill, Quantize
from workbench.storage import Label, Storage, this_process
from workbench.trial import Trial

if TYPE_CHECKING:
    from torch import nn

    from workbench.compare import Comparison
    from workbench.prediction import Prediction
    from workbench.prediction.calibration import Calibration
    from workbench.prediction.outline import Outline
    from workbench.prediction.predictor import Predictor
    from workbench.search import Outcome
    from workbench.sensitivity import Sensitivity
    from workbench.storage import Record

OnProgress = Callable[[dict[str, Any]], None]
OBJECTIVES = {"accuracy": 1, "size_bytes": -1, "latency": -1, "speedup": 1, "macs": -1, "parameters": -1}


class Study:
    """One model under compression.

    Parameters
    ----------
    model : str or torch.nn.Module
        A zoo model (``lenet300``, ``lenet5``, ``resnet20``), or your own classifier: float32 (N, ...) to (N, classes).
    dataset : str or Dataset
        ``mnist``, ``fashion_mnist``, ``cifar10``, or your own.
    runtime : str
        ``onnxruntime``, ``torch``, or ``openvino`` where it is installed: what executes the file that ships.
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
        self._fitted: tuple[tuple, Predictor] | None = None
        self.runtime = load_runtime(runtime)
        self.runtime.check(device=device)
        self.device, self.threads, self.batch = device, threads, batch
        if not isinstance(dataset, (str, Dataset)):
            raise WorkbenchError(
                f"A {type(dataset).__name__} is not a dataset.",
                "Give a name, or wb.Dataset(train=(inputs, labels), ...).",
            )
        if not isinstance(model, str) and not hasattr(model, "state_dict"):
            raise WorkbenchError(
                f"A {type(model).__name__} is not a model.", "Give a zoo model's name, or a torch.nn.Module."
            )
        title = model if isinstance(model, str) else type(model).__name__.lower()
        data = dataset if isinstance(dataset, str) else dataset.name
        if isinstance(dataset, str):
            lookup(DATASETS, dataset, "dataset")
        if isinstance(model, str):
            _check_zoo(model, data)
        settings = {
            "model": title,
            "dataset": data,
            "runtime": runtime,
            "device": device,
            "threads": threads,
            "batch": batch,
            "own": [kind for kind, given in (("model", model), ("dataset", dataset)) if not isinstance(given, str)],
        }
        settings["hashes"] = _hashes(model, dataset)
        self.path = Path(path or Path("runs", study_folder(title, data, runtime, device))).resolve()
        self.storage = Storage(self.path)
        known = self.storage.settings()
        differing = [key for key, value in settings.items() if known and known.get(key) != value]
        if differing:
            key = differing[0]
            other = {"own": "another model or dataset", "hashes": "other weights or other data"}.get(key)
            raise WorkbenchError(
                f"{self.path} holds a study with {other or f'another {key} ({known.get(key)}, not {settings[key]})'}.",
                "Choose another path, or open that study as it is.",
            )
        self.settings = settings
        if not known:
            self.storage.save_settings(settings)
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

    def __reduce__(self) -> tuple:
        s = self.settings
        return _reopen, (self._model, self._dataset, s["runtime"], self.device, self.path, self.threads, self.batch)

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
        return [Trial(self, record) for record in self.storage.records() if record.number not in deleted]

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
        """Refuse a recipe that this study's runtime can't run, before any work."""
        for step in recipe:
            if isinstance(step, Quantize):
                self.runtime.check(step, self.device)
            if isinstance(step, Distill) and step.teacher not in ("baseline", "self"):
                lookup(MODELS, step.teacher, "model to teach")

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
        record.state, record.process = "running", this_process()
        record.prediction = self._foreseen(record)
        self.storage.save(record)
        started = time.time()
        try:
            carry_out(self, record, on_progress or (lambda facts: None))
            record.state = "complete"
        except Cancelled:
            record.state, record.reason = "cancelled", "Cancelled by the user."
        except KeyboardInterrupt:
            record.state, record.reason = "cancelled", "Interrupted from the keyboard."
        except WorkbenchError as error:
            record.state, record.reason = "failed", str(error)
        except MemoryError:
            record.state, record.reason = "failed", "The machine ran out of memory. Use a smaller batch size or model."
        except Exception as error:  # a failed trial is a result: nothing kills a study
            record.state = "failed"
            record.reason = f"Something unexpected went wrong: {type(error).__name__}: {str(error)[:300]}"
            self._keep_traceback(number)
        if record.state != "complete":
            record.metrics = None
        record.seconds = time.time() - started
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

    def pareto(self, objectives: Sequence[str] = ("accuracy", "size_bytes", "latency")) -> list[Trial]:
        """The complete trials that no other beats on every objective at once.

        Latency is compared by the speed-up against the baseline, as only paired figures are comparable; a trial whose
        speed is not claimed is left out where latency is an objective.
        """
        for name in objectives:
            if name not in OBJECTIVES:
                raise WorkbenchError(f"There is no objective '{name}'.", f"Choose from: {', '.join(OBJECTIVES)}.")
        known = [(trial, _objectives(trial, objectives)) for trial in self.trials if trial.metrics]
        done = [trial for trial, values in known if np.isfinite(values).all()]
        table = np.array([values for _, values in known if np.isfinite(values).all()])
        front = []
        for index, row in enumerate(table):
            others = np.delete(table, index, axis=0)
            beaten = ((others >= row).all(axis=1) & (others > row).any(axis=1)).any()
            if not beaten:
                front.append(done[index])
        return front

    def compare(self, a: "Trial | int", b: "Trial | int") -> "Comparison":
        """Trial `b` against trial `a`: flips with their inputs, classes, and layer by layer where they part.

        Parameters
        ----------
        a, b : Trial or int
            Complete trials of this study, or their numbers.
        """
        from workbench.compare import compare

        return compare(*(self.trial(t) if isinstance(t, int) else t for t in (a, b)))

    @cached_property
    def outline(self) -> "Outline":
        """The model as arithmetic: what any cut of it leaves."""
        from workbench.carry_out import context_of
        from workbench.prediction.outline import Outline

        return Outline(self.module, context_of(self))

    def sensitivity(self, importance: str = "l2", on_progress: OnProgress | None = None) -> "Sensitivity":
        """How much the model suffers when one layer alone is pruned or rounded: measured once, then read.

        Parameters
        ----------
        importance : str
            Which channels go first, as in `Prune`.
        on_progress : callable, optional
            As in `run`. What a cancelled measurement found is kept.
        """
        from workbench.sensitivity import sensitivity

        return sensitivity(self, importance, _reporting(on_progress))

    def prepare_predictions(self, seconds: float = 60.0, on_progress: OnProgress | None = None) -> None:
        """Measure what predictions go by, as far as it isn't yet: sensitivity, probes, and a table of speeds.

        Parameters
        ----------
        seconds : float
            For the table of speeds; with each trial it grows anyway.
        on_progress : callable, optional
            As in `run`. What a cancelled measurement found is kept.
        """
        from workbench.prediction.prepare import prepare

        prepare(self, seconds, _reporting(on_progress))

    def predict(self, recipe: Recipe, look: bool = False) -> "Prediction":
        """What a recipe would give, without doing it: in milliseconds, from what `prepare_predictions` and trials told.

        Parameters
        ----------
        recipe : Recipe
        look : bool
            Try the recipe without its trainings on some samples first, which takes about a second, once for each
            recipe: accuracy is then much better known.

        Raises
        ------
        WorkbenchError
            If it asks for what the model doesn't have, or for what can't be predicted at all.
        """
        predictor = self._predictor()
        return predictor.look(recipe) if look else predictor.predict(recipe)

    def search(
        self,
        objectives: Sequence[str] | str = ("accuracy", "size_bytes", "latency"),
        constraints: Mapping[str, float] | None = None,
        budget: str | int | timedelta = "10 min",
        space: Mapping[str, Any] | None = None,
        sampler: str = "tpe",
        seed: int = 0,
        storage: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> "Outcome":
        """Look for the recipes of the best trade-offs; every trial is kept, and the same search again goes on.

        Parameters
        ----------
        objectives : sequence of str
            Of accuracy, accuracy_drop, size_bytes, latency, speedup, macs, parameters, memory, energy.
        constraints : mapping, optional
            Limits by the same names: ``{"accuracy_drop": 0.01, "size_bytes": 100_000}``.
        budget : str, int or timedelta
            ``"10 min"``, ``"30 trials"``. A trial that the time cuts short is cancelled.
        space : mapping, optional
            What is searched: ``{"prune.ratio": (0.3, 0.8), "prune.importance": ["l2", "fpgm"], "distill": False}``.
            Ranges are those of the knobs' declarations, or narrower; what isn't named is as usual.
        sampler : str
            ``tpe``, ``nsga2``, ``gp`` or ``random``.
        seed : int
            Of the search, and of every recipe.
        storage : str, optional
            The URL of a database for the history, which optuna-dashboard opens; ``search.db`` in the study's folder
            if left out.
        on_progress : callable, optional
            Called with a dict of facts: share of the budget, message, hypervolume; raise `Cancelled` in it to stop.

        Returns
        -------
        Outcome
            The front, the best within the limits or what is nearest, and how it went. Also when it was stopped.

        Raises
        ------
        WorkbenchError
            On contradictory limits, a budget too small for one trial, a space of one point, or an objective that is
            not measured here.
        """
        from workbench.search.search import search

        told = _reporting(on_progress)
        return search(self, objectives, constraints, budget, space, sampler, seed=seed, storage=storage, report=told)

    def calibration(self) -> "list[Calibration]":
        """Predicted against measured, for every trial that was foreseen before it ran."""
        from workbench.prediction.calibration import calibrations

        return calibrations(self.trials)

    def _foreseen(self, record: "Record") -> "Prediction | None":
        """What is predicted of a trial that is about to run; None where the study wasn't prepared for predictions."""
        if not record.recipe["steps"] or not (self.path / "prediction").exists():
            return None
        try:
            return self.predict(Recipe.from_dict(record.recipe))
        except WorkbenchError:  # it can run all the same, or will say itself why not
            return None

    def _predictor(self) -> "Predictor":
        """Fitted anew when there is more to go by."""
        from workbench.prediction.predictor import Predictor

        files = [*sorted((self.path / "sensitivity").glob("*")), self.path / "prediction" / "table.jsonl"]
        state = self.storage.complete(), *(path.stat().st_size for path in files if path.exists())
        if self._fitted is None or self._fitted[0] != state:
            self._fitted = state, Predictor(self)
        return self._fitted[1]

    def report(self, path: str | Path) -> Path:
        """Write one self-contained page: plots, trials, recipes, machine, how it was measured, and doubts.

        Raises
        ------
        WorkbenchError
            If nothing was measured yet, or the file can't be written.
        """
        from workbench.report import write_report

        return write_report(self, path)

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


def _reporting(on_progress: OnProgress | None) -> Callable[..., None]:
    return (lambda **facts: on_progress(facts)) if on_progress else lambda **facts: None


def _hashes(model: "str | nn.Module", dataset: str | Dataset) -> dict[str, str]:
    """What tells these weights and data from others of the same name: a trial is only true of its own."""
    data = fingerprint(dataset) if isinstance(dataset, str) else dataset.hash
    if isinstance(model, str):
        return {
            "model": MODELS[model].fingerprint(dataset if isinstance(dataset, str) else dataset.name),
            "dataset": data,
        }
    from workbench.weights import weight_hash

    return {"model": weight_hash(model), "dataset": data}


def study_folder(model: str, dataset: str, runtime: str, device: str = "cpu") -> str:
    """The usual name of a study's folder: ``lenet5-mnist-onnxruntime``."""
    return "-".join([model, dataset, runtime, *([device] if device != "cpu" else [])]).replace(" ", "-")


def _reopen(
    model: "str | nn.Module", dataset: str | Dataset, runtime: str, device: str, path: Path, threads: int, batch: int
) -> Study:
    return Study(model, dataset, runtime, device, path, threads=threads, batch=batch)


def _check_zoo(model: str, dataset: str) -> None:
    zoo = lookup(MODELS, model, "model")
    lookup(DATASETS, dataset, "dataset")
    if not zoo.weights(dataset).exists():
        raise WorkbenchError(
            f"{zoo.title} has no weights for '{dataset}'.",
            f"It has some for: {', '.join(d for d in zoo.training if zoo.weights(d).exists())}.",
        )


def _objectives(trial: Trial, names: Sequence[str]) -> list[float]:
    """A complete trial's values, the larger the better; NaN for a speed that is not claimed."""
    metrics = trial.metrics
    assert metrics is not None
    unpaired = math.nan if len(trial.recipe) else 1.0
    speedup = metrics.speedup.value if metrics.speedup else unpaired
    return [
        speedup if name in ("latency", "speedup") else OBJECTIVES[name] * float(getattr(metrics, name))
        for name in names
    ]
