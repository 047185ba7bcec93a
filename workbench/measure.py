"""Measure an artifact: what is taken is taken by running the file that ships."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from workbench.data import Dataset
from workbench.energy import Energy, macs_by_width, measured_energy, modelled_energy
from workbench.errors import WorkbenchError
from workbench.evaluation import Change, task_of
from workbench.latency import Paired, Run, budget, cuda_clock, loads_of, paired, wall_clock
from workbench.machine import processor
from workbench.macs import count_macs, layer_macs
from workbench.memory import enough_memory, shortage
from workbench.metrics import Conditions, Metrics, Parity
from workbench.process_cost import ProcessCost, process_cost
from workbench.runtimes import Runtime, Session, runtime_of
from workbench.steps.base import Work

EVALUATION_BATCH = 250
PARITY_SAMPLES = 256
IN_TORCHS_QUEUE = ("torch", "inductor")  # of a GPU, whose events PyTorch can time
SMALLER = "Make a study with a smaller batch"

Report = Callable[..., None]


@dataclass(frozen=True)
class Setting:
    """Where and how artifacts of a study are measured."""

    runtime: Runtime
    device: str
    threads: int
    batch: int
    seconds: float = field(default_factory=budget)
    """The most that timing may take, for as long as the machine is noisy."""

    def load(self, artifact: Path) -> Session:
        """An artifact in what runs it; a packed file on the CPU where it must."""
        runtime = runtime_of(artifact, self.runtime)
        return runtime.load(artifact, self.threads, self.device if self.device in runtime.devices_here() else "cpu")

    def comparable(self, artifact: Path) -> bool:
        """Whether it is run by the runtime and on the device that the baseline is run by."""
        runtime = runtime_of(artifact, self.runtime)
        return isinstance(runtime, type(self.runtime)) and self.device in runtime.devices_here()


def answers(session: Session, dataset: Dataset, split: str, report: Report = lambda **facts: None) -> np.ndarray:
    """What `Task.answers` keeps of every sample of a split, of a classifier its top class; raises as `rows` does."""
    return task_of(dataset).answers(rows(session, dataset, split, report))


def rows(session: Session, dataset: Dataset, split: str, report: Report = lambda **facts: None) -> np.ndarray:
    """What `Task.rows` keeps of the artifact's outputs for every sample of a split; of a classifier its logits.

    Raises
    ------
    WorkbenchError
        If the outputs are not what the task asks for, or not numbers.
    """
    part, task, found = getattr(dataset, split), task_of(dataset), []
    step = task.batch(dataset, EVALUATION_BATCH)
    for start in range(0, len(part), step):
        outputs = run(session, dataset.prepare(part.inputs[start : start + step]))
        task.check_outputs(outputs.shape, dataset)
        if not np.isfinite(outputs).all():
            raise WorkbenchError(
                "The model's outputs are NaN or infinite.",
                "Check its weights; after training, lower the learning rate; after pruning, the ratio.",
            )
        found.append(task.rows(outputs, part.labels[start : start + step]))
        report(share=min(1.0, (start + step) / len(part)), message=f"Evaluating on the {split} split")
    return np.concatenate(found)


def run(session: Session, inputs: np.ndarray) -> np.ndarray:
    """The outputs for inputs; put to it in halves where the memory doesn't suffice for all at once."""
    try:
        return session(inputs)
    except Exception as error:  # each runtime says in its own way that memory is short
        if len(inputs) == 1 or shortage(error) is None:
            raise
    half = len(inputs) // 2
    return np.concatenate([run(session, inputs[:half]), run(session, inputs[half:])])


def measure(
    artifact: Path,
    work: Work,
    dataset: Dataset,
    setting: Setting,
    *,
    split: str = "validation",
    baseline: Path | None = None,
    baseline_answers: np.ndarray | None = None,
    report: Report = lambda **facts: None,
) -> tuple[Metrics, np.ndarray]:
    """All measured facts of an artifact.

    Parameters
    ----------
    artifact : pathlib.Path
    work : Work
        What it was exported from, for the parity check and for the counts.
    dataset : Dataset
    setting : Setting
    split : str
        Where the score is taken.
    baseline : pathlib.Path, optional
        The baseline's artifact, timed in the same loop; without it the artifact is timed against itself and no
        speed-up is given.
    baseline_answers : numpy.ndarray, optional
        The baseline's, as `answers` gives them.
    report : callable
        Told of the progress; may raise `Cancelled`.

    Returns
    -------
    Metrics
    numpy.ndarray
        The artifact's, as `answers` gives them.
    """
    session = setting.load(artifact)
    task, labels = task_of(dataset), getattr(dataset, split).labels
    with enough_memory("evaluating the model"):
        judged = rows(session, dataset, split, report)
    given = task.answers(judged)
    same = Change(0, 0, 0.0, 1.0)
    change = same if baseline_answers is None else task.change(baseline_answers, given, labels)

    # What no kernel computes with says nothing about speed, nor does another runtime.
    timed = setting.comparable(artifact) and not work.simulated
    with enough_memory(f"timing {setting.batch} inputs at once", f"{SMALLER}, now {setting.batch}; or another device."):
        timing = _timed(session, artifact, baseline, dataset, setting, report) if timed else None
    process, unmeasured = (None, []) if work.simulated else _process_cost(artifact, dataset, setting, report)

    macs = count_macs(work.module, dataset.prepare(dataset.validation.inputs[:1]))
    parameters = sum(p.numel() for p in work.module.parameters())
    metrics = Metrics(
        split=split,
        samples=len(labels),
        task=task.name,
        score=task.score(given, labels),
        fixed=change.fixed,
        broken=change.broken,
        gain=change.gain,
        score_p=change.p_value,
        quality=task.quality(judged, labels),
        size_bytes=artifact.stat().st_size,
        theoretical_bytes=theoretical_bytes(work),
        latency=timing.second if timing else None,
        baseline_latency=timing.first if timing and baseline else None,
        speedup=timing.speedup if timing and baseline else None,
        cpu_speedup=timing.cpu_speedup if timing and baseline else None,
        conditions=_conditions(setting, timing) if timing else None,
        calls=timing.calls if timing else None,
        process=process,
        unmeasured=unmeasured,
        energy=None if work.simulated else _energy(session, artifact, work, macs, dataset, setting),
        macs=macs,
        parameters=parameters,
        nonzero_parameters=sum(int(p.count_nonzero()) for p in work.module.parameters()),
        parity=parity(session, work.module, dataset),
        simulated=work.simulated,
    )
    return metrics, given


def _timed(
    session: Session, artifact: Path, baseline: Path | None, dataset: Dataset, setting: Setting, report: Report
) -> Paired:
    inputs = dataset.prepare(_cycled(dataset.validation.inputs, setting.batch))

    def reload() -> tuple[Run, Run]:
        assert baseline is not None
        reference = setting.runtime.load(baseline, setting.threads, setting.device)
        return partial(reference, inputs), partial(setting.load(artifact), inputs)

    on_gpu = setting.device == "cuda" and setting.runtime.name in IN_TORCHS_QUEUE
    return paired(
        *(reload() if baseline else [partial(session, inputs)] * 2),
        reload=reload if baseline else None,
        loads=loads_of(2 * (baseline or artifact).stat().st_size, setting.device),
        seconds=setting.seconds,
        clock=cuda_clock if on_gpu else wall_clock,
        report=report,
    )


def _process_cost(
    artifact: Path, dataset: Dataset, setting: Setting, report: Report
) -> tuple[ProcessCost | None, list[str]]:
    """What a fresh process pays, or a sentence that says why this is not known."""
    if setting.device != "cpu":
        return None, [
            f"Cold start and memory were not measured: they are taken on processors, and this is '{setting.device}'."
        ]
    report(share=1.0, message="Starting it in a fresh process")
    try:
        shape = (setting.batch, *dataset.sample_shape)
        return process_cost(
            runtime_of(artifact, setting.runtime), artifact, shape, setting.threads, tokens=task_of(dataset).tokens
        ), []
    except WorkbenchError as error:
        return None, [f"Cold start and memory were not measured. {error.message}"]


def _energy(session: Session, artifact: Path, work: Work, macs: int, dataset: Dataset, setting: Setting) -> Energy:
    """By the machine's counters; by a model where there are none."""
    inputs = dataset.prepare(_cycled(dataset.validation.inputs, setting.batch))
    found = measured_energy(lambda: session(inputs), setting.batch, setting.device, min(1.0, setting.seconds))
    return found or modelled_energy(_by_width(artifact, work, macs, dataset, setting), artifact.stat().st_size)


def _by_width(artifact: Path, work: Work, macs: int, dataset: Dataset, setting: Setting) -> dict[str, int]:
    """Its multiply-accumulates by what they are computed with, as the file has it."""
    mode = work.quantization.mode if work.quantization else None
    bits = runtime_of(artifact, setting.runtime).weight_bits(artifact) if mode else {}
    layers = layer_macs(work.module, dataset.prepare(dataset.validation.inputs[:1])) if mode else {}
    return macs_by_width(macs, layers, bits, mode, work.precision, setting.device)


def _conditions(setting: Setting, timing: Paired) -> Conditions:
    return Conditions(
        runtime=setting.runtime.name,
        version=setting.runtime.version() or "",
        device=setting.device,
        processor=processor(),
        threads=setting.threads,
        batch=setting.batch,
        blocks=timing.blocks,
        noise=timing.noise,
        drift=timing.drift,
        loads=timing.loads,
        load_spread=timing.load_spread,
        seconds=timing.seconds,
        precise=timing.precise,
        cpu_share=timing.cpu_share,
        machine=timing.machine,
    )


def parity(session: Session, module: nn.Module, dataset: Dataset) -> Parity:
    """The artifact against the module, on the first 256 validation samples, or as many as fit."""
    task = task_of(dataset)
    inputs = dataset.prepare(dataset.validation.inputs[: task.batch(dataset, PARITY_SAMPLES)])
    with torch.inference_mode():
        expected = module.eval().to("cpu")(torch.from_numpy(inputs)).numpy()
    got = run(session, inputs)
    return Parity(
        samples=len(inputs),
        largest_difference=float(np.abs(got - expected).max()),
        same_answers=task.alike(got, expected),
    )


def theoretical_bytes(work: Work) -> int:
    """Parameters x bits: weights at the width of their grid, else as declared; all else (biases, norms) at 32 bits."""
    if work.precision != "float32":
        return 2 * sum(p.numel() for p in work.module.parameters())
    if work.grids:
        bits = {name: grid.bits for name, grid in work.grids.items()}
        return -(-sum(p.numel() * bits.get(name, 32) for name, p in work.module.named_parameters()) // 8)
    chosen = work.quantization
    kinds = (nn.Linear, nn.modules.conv._ConvNd) if chosen and chosen.mode == "static" else (nn.Linear,)
    layers = [m for m in work.module.modules() if isinstance(m, kinds)] if chosen else []
    narrow = sum(layer.weight.numel() for layer in layers)
    rest = sum(p.numel() for p in work.module.parameters()) - narrow
    return -(-(narrow * (chosen.weight_bits if chosen else 32) + rest * 32) // 8)


def _cycled(inputs: np.ndarray, count: int) -> np.ndarray:
    return inputs[np.arange(count) % len(inputs)]
