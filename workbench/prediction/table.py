"""The table of sizes and speeds: models of this shape, pruned in several ways, exported and timed on this machine."""

import copy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from scipy.stats import qmc

from workbench import lines
from workbench.carry_out import context_of
from workbench.errors import WorkbenchError
from workbench.estimates import Estimate
from workbench.latency import cuda_clock, paired, wall_clock
from workbench.machine import processor
from workbench.on_device import exported
from workbench.prediction.latency import FEWEST
from workbench.prediction.prospect import follow
from workbench.pruning.allocation import rounded
from workbench.pruning.plan import replay
from workbench.pruning.structured import Structure
from workbench.recipe import Recipe
from workbench.steps import Half, Quantize
from workbench.steps.base import Work

if TYPE_CHECKING:
    from workbench.study import Study

SECONDS = 60.0
EACH = 0.5  # seconds that each model is timed
MOST = 32  # models of each form
MULTIPLES = (1, 8, 1, 4)
SPREAD = 0.35  # how far a group's ratio may lie from the others', in every other model
QUICK = Quantize(weight_observer="minmax", observer="minmax", calibration_samples=16)
"""Values don't matter for size and speed, so the quickest choice of ranges does."""


class Row(BaseModel):
    """One model that was exported and timed."""

    model_config = ConfigDict(frozen=True)
    form: str
    cut: dict[str, int]
    """Units left, by the name of the group of channels."""
    size_bytes: int
    speedup: Estimate
    """Against the unpruned model in floats, in one loop."""
    version: str = ""
    """Of the runtime; "" where an earlier version of the workbench measured it, as below."""
    processor: str = ""


class Table:
    """Rows in a file, one line each: a measurement that is broken off keeps what it has.

    Of other processors, and other versions of the runtime, nothing is told: speeds there are others.

    Parameters
    ----------
    path : pathlib.Path
    version, processor : str
        Those of now.
    """

    def __init__(self, path: Path, version: str, processor: str):
        self.path, self.here = path, {"version": version, "processor": processor}
        rows = [Row.model_validate(fact) for fact in lines.read(path)]
        self.rows = [
            row for row in rows if (row.version or version, row.processor or processor) == (version, processor)
        ]

    def add(self, row: Row) -> None:
        row = row.model_copy(update=self.here)
        lines.append(self.path, row.model_dump())
        self.rows.append(row)


def table_of(study: "Study") -> Table:
    """The study's table, as far as it was measured."""
    return Table(study.path / "prediction" / "table.jsonl", study.runtime.version() or "", processor())


def measure_table(
    study: "Study", seconds: float = SECONDS, report: Callable[..., None] = lambda **facts: None
) -> Table:
    """Export and time pruned models until the time is spent: in floats of 32 and 16 bits, and int8, as far as they run.

    A few of each are timed in any case, as fewer tell nothing.

    The widths follow a Sobol sequence (Sobol 1967): half of the models are pruned alike in every layer, half not, and
    half of them are rounded to multiples of 4 or 8, as kernels like them.

    Parameters
    ----------
    study : Study
    seconds : float
    report : callable
        Told of the progress; may raise `Cancelled`.
    """
    table = table_of(study)
    structure = study.outline.structure("channel")
    context = context_of(study)
    inputs = study.dataset.prepare(study.dataset.calibration.inputs[: max(16, study.batch)])
    forms = [Recipe(), *([Recipe([QUICK])] if study.runtime.computes(QUICK) else [])]
    forms += [Recipe([Half()])] if Half().format in study.runtime.floats else []
    names = {recipe: follow(recipe, study.outline, study.runtime).form for recipe in forms}
    known = {form: sum(row.form == form for row in table.rows) for form in names.values()}
    plans = _plans(structure) if structure else [{}]
    batch = inputs[np.arange(study.batch) % len(inputs)]
    clock = cuda_clock if study.device == "cuda" else wall_clock
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        reference = exported(Work(copy.deepcopy(study.module)), context, inputs, Path(folder))
        for place, plan in enumerate(plans):
            for recipe in forms:
                spent = time.monotonic() - began
                report(
                    share=min(1.0, spent / max(seconds, 1e-9)),
                    message=f"Timing pruned models: {len(table.rows)} so far",
                )
                if spent > seconds and place >= FEWEST:
                    return table
                if place < known[names[recipe]]:
                    continue
                work = Work(copy.deepcopy(study.module))
                if structure:
                    replay(work.module, torch.from_numpy(inputs[:2]), _edits(structure, plan))
                try:
                    for step in recipe:
                        step.apply(work, context)
                    session = exported(work, context, inputs, Path(folder))
                except WorkbenchError:  # this form can't be exported; trials will say why
                    continue
                file = max(Path(folder).iterdir(), key=lambda path: path.stat().st_mtime_ns)
                timing = paired(lambda: reference(batch), lambda s=session: s(batch), seconds=EACH, clock=clock)  # type: ignore[misc]
                table.add(Row(form=names[recipe], cut=plan, size_bytes=file.stat().st_size, speedup=timing.speedup))
                file.unlink()
    return table


def _plans(structure: Structure) -> list[dict[str, int]]:
    """How many units each group keeps, model by model; the first is the whole one."""
    points = qmc.Sobol(len(structure.groups) + 1, seed=0).random(MOST)
    plans = [{group.name: group.units for group in structure.groups}]
    for place, (level, *shifts) in enumerate(points[:-1]):
        spread, multiple = SPREAD * (place % 2), MULTIPLES[place % len(MULTIPLES)]
        plan = {}
        for group, shift in zip(structure.groups, shifts, strict=True):
            ratio = float(np.clip(0.92 * level + spread * (2 * shift - 1), 0, 0.95))
            plan[group.name] = rounded(max(group.least, group.units - round(group.units * ratio)), group, multiple)
        plans.append(plan)
    return plans


def _edits(structure: Structure, plan: dict[str, int]) -> list[dict]:
    return [
        group.edit(sorted(score.argsort(stable=True)[: group.units - plan[group.name]].tolist()))
        for group, score in zip(structure.groups, structure.scores, strict=True)
        if plan[group.name] < group.units
    ]
