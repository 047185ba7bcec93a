"""Carry a recipe out: recipe -> model -> artifact -> measurement, each stored as it is reached."""

import contextlib
import copy
import hashlib
import io
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from workbench.disk import write
from workbench.errors import Cancelled, WorkbenchError
from workbench.machine import processors
from workbench.measure import Setting, answers, measure
from workbench.memory import enough_memory
from workbench.metrics import Metrics
from workbench.models import architecture
from workbench.prefixes import Start, begun, keep
from workbench.quantization.grids import refit
from workbench.quantization.kept import load_grids, save_grids
from workbench.recipe import Recipe
from workbench.runtimes import PACKED, runtime_of
from workbench.steps import Quantize
from workbench.steps.base import Context, Work
from workbench.steps.half import Half
from workbench.storage import CANCEL, Record
from workbench.weights import load_weights, save_weights, weight_hash

if TYPE_CHECKING:
    from workbench.study import Study
    from workbench.trial import Trial

PROGRESS, PLAN, WEIGHTS, ANSWERS = "progress.jsonl", "plan.json", "weights.safetensors", "answers.npy"
GRIDS = "grids.safetensors"
EVERY = 0.1  # seconds between two progress facts at least


def carry_out(study: "Study", record: Record, on_progress: Callable[[dict[str, Any]], None]) -> None:
    """Do what a stored trial declares, and fill in its record. Raises what goes wrong.

    What a recipe shares with an earlier one as far as a training is not done again, see `workbench.prefixes`; its
    seconds count nevertheless. A recipe that was complete once is done anew from its first step.
    """
    folder = study.storage.folder(record.number)
    recipe = Recipe.from_dict(record.recipe)
    progress = Progress(folder, len(recipe) + 2, on_progress)

    baseline = _baseline(study, folder) if len(recipe) else None
    torch.set_num_threads(processors())
    again = any(other.recipe_hash == record.recipe_hash for other in study.storage.records() if other.metrics)
    start = Start(Work(copy.deepcopy(study.module))) if again else begun(study, recipe)
    work, taken_over = start.work, start.seconds
    progress.tell(start.facts)
    context = context_of(study, recipe.seed)
    for step in recipe:
        step.check(context)
    began = time.monotonic()
    for index, step in enumerate(recipe):
        if index < start.steps:
            continue
        torch.manual_seed(recipe.seed)
        report = progress.stage(index, type(step).__name__)
        report(share=0.0)
        with enough_memory(f"doing {type(step).__name__}"):
            step.apply(work, replace(context, report=report, place=index + 1))
        work.module.to("cpu")
        refit(dict(work.module.named_parameters()), work.grids)
        spent = taken_over + time.monotonic() - began
        keep(study, recipe, Start(work, index + 1, spent, progress.told))
    record.seconds = taken_over
    record.notes, record.weight_hash = work.notes, weight_hash(work.module)
    recipe.save(folder / "recipe.yaml")
    plan = {"architecture": work.architecture, "edits": work.plan, "simulated": work.simulated}
    write(folder / PLAN, json.dumps(plan))
    save_weights(work.module, folder / WEIGHTS)
    save_grids(folder / GRIDS, work.grids, work.activations)

    report = progress.stage(len(recipe), "Export")
    form = PACKED if work.ships_packed else study.runtime
    report(share=0.0, message=f"Exporting: {form.title}")
    artifact = folder / f"model{form.suffix}"
    with enough_memory("exporting the model"):
        export(study, work, artifact)
    if not setting(study).comparable(artifact):
        record.notes.append(f"{form.title}: its speed is not compared with that of {study.runtime.title}.")

    report = progress.stage(len(recipe) + 1, "Measure")
    metrics, given = measure(
        artifact,
        work,
        study.dataset,
        setting(study),
        baseline=baseline.artifact if baseline else None,
        baseline_answers=baseline.answers() if baseline else None,
        report=report,
    )
    _save(folder / ANSWERS, given)
    report(share=1.0, message="Done")
    record.metrics = metrics
    record.artifact, record.artifact_sha256 = artifact.name, hashlib.sha256(artifact.read_bytes()).hexdigest()


def _save(path: Path, array: np.ndarray) -> None:
    file = io.BytesIO()  # NumPy doesn't say that a disk is full
    np.save(file, array)
    write(path, file.getvalue())


def _baseline(study: "Study", folder: Path) -> "Trial":
    """The baseline, measured first where it never was; the wish to stop this trial stops that too."""

    def stop(facts: dict[str, Any]) -> None:
        if (folder / CANCEL).exists():
            raise Cancelled

    return study.measured_baseline(stop)


def calibrating(study: "Study", work: Work) -> np.ndarray:
    """The prepared inputs that an export may look at: as many as the quantization asks for, and two at least."""
    samples = work.quantization.calibration_samples if work.quantization else 2
    return study.dataset.prepare(study.dataset.calibration.inputs[: max(samples, 2)])


def export(study: "Study", work: Work, artifact: Path) -> None:
    """Write the artifact."""
    inputs = calibrating(study, work)
    runtime_of(artifact, study.runtime).export(work, inputs[:2], inputs, artifact)


def rebuild(trial: "Trial") -> Work:
    """The compressed module of a finished trial, and on which grids it lies, from its plan, weights and grids."""
    from workbench.pruning.plan import replay

    study = trial.study
    folder = study.storage.folder(trial.number)
    if not (folder / WEIGHTS).exists():
        raise WorkbenchError(f"Trial {trial.number} has no weights: it {trial.state}.", "Run its recipe again.")
    saved = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    other = saved["architecture"]
    module = architecture(other, study.dataset, trial.recipe.seed) if other else copy.deepcopy(study.module)
    replay(module, torch.from_numpy(study.dataset.prepare(study.dataset.calibration.inputs[:2])), saved["edits"])
    load_weights(module, folder / WEIGHTS)
    quantization = next((step for step in trial.recipe if isinstance(step, Quantize)), None)
    half = next((step.format for step in reversed(trial.recipe.steps) if isinstance(step, Half)), "float32")
    grids, activations = load_grids(folder / GRIDS)
    return Work(
        module.eval(),
        quantization=quantization,
        precision=half,
        grids=grids,
        activations=activations,
        simulated=saved["simulated"],
    )


def open_test(study: "Study", trial: "Trial") -> Metrics:
    """Measure a finished trial on the test split."""
    if study.dataset.test is None:
        raise WorkbenchError("This dataset has no test split.", "Give one: Dataset(train=..., test=...).")
    if trial.artifact is None:
        raise WorkbenchError(f"Trial {trial.number} has no artifact to test.", "Choose a complete trial.")
    baseline = study.baseline
    same = trial.number == baseline.number or baseline.artifact is None
    before = None if same else answers(setting(study).runtime.load(baseline.artifact), study.dataset, "test")  # type: ignore[arg-type]
    metrics, _ = measure(
        trial.artifact,
        rebuild(trial),
        study.dataset,
        setting(study),
        split="test",
        baseline=None if same else baseline.artifact,
        baseline_answers=before,
    )
    # grids are not kept, and the model is the same
    known = trial.metrics.theoretical_bytes if trial.metrics else metrics.theoretical_bytes
    return metrics.model_copy(update={"theoretical_bytes": known})


def context_of(study: "Study", seed: int = 0) -> Context:
    """What the steps of a recipe may use in this study."""
    context = Context(study.dataset, study.module, seed, study.device)
    return replace(context, runtime=study.runtime, threads=study.threads, batch=study.batch)


def setting(study: "Study") -> Setting:
    """How this study measures."""
    return Setting(study.runtime, study.device, study.threads, study.batch)


class Progress:
    """Tells of the progress to a callback and to a file that any other process can read; notices a wish to stop."""

    def __init__(self, folder: Path, stages: int, on_progress: Callable[[dict[str, Any]], None]):
        self._file, self._cancel = folder / PROGRESS, folder / CANCEL
        self._stages, self._on_progress = stages, on_progress
        self._last = 0.0
        self._reached: float | None = None
        self.told: list[dict[str, Any]] = []
        self._file.unlink(missing_ok=True)

    def tell(self, facts: list[dict[str, Any]]) -> None:
        """Tell again what was told of steps that an earlier trial has done."""
        for fact in facts:
            told = {**fact, "stages": self._stages}
            self._reached = told.get("reached", self._reached)
            self._write(told)
            self._on_progress(told)

    def stage(self, index: int, name: str) -> Callable[..., None]:
        """The `report` of one stage."""

        since = time.time()

        def report(**facts: Any) -> None:
            now = time.monotonic()
            judged = "accuracy" in facts or "score" in facts
            if now - self._last < EVERY and not judged and facts.get("share") not in (0.0, 1.0):
                return
            self._last = now
            if self._cancel.exists():
                raise Cancelled
            self._reached = facts.get("accuracy", self._reached)
            told = {
                "time": time.time(),
                "since": since,
                "stage": index,
                "stages": self._stages,
                "name": name,
                "reached": self._reached,
                **facts,
            }
            self._write(told)
            self._on_progress(told)

        return report

    def _write(self, told: dict[str, Any]) -> None:
        self.told.append(told)
        # on a full disk the work goes on, unseen
        with contextlib.suppress(OSError), self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")
