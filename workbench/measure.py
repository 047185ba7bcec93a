"""Measure an artifact: what is taken is taken by running the file that ships."""

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from workbench.data import Dataset
from workbench.energy import Energy, measured_energy, modelled_energy
from workbench.errors import WorkbenchError
from workbench.estimates import share_of
from workbench.evaluation import quality
from workbench.latency import Paired, budget, cuda_clock, paired, wall_clock
from workbench.metrics import Conditions, Metrics, Parity
from workbench.process_cost import ProcessCost, process_cost
from workbench.runtimes import Runtime, Session, runtime_of
from workbench.steps.base import Work

EVALUATION_BATCH = 250
PARITY_SAMPLES = 256

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
    """The artifact's top class for every sample of a split, shape (N,), int64; raises as `outputs` does."""
    return outputs(session, dataset, split, report).argmax(1)


def outputs(session: Session, dataset: Dataset, split: str, report: Report = lambda **facts: None) -> np.ndarray:
    """The artifact's logits for every sample of a split, shape (N, classes), float32.

    Raises
    ------
    WorkbenchError
        If an output is not a number.
    """
    part = getattr(dataset, split)
    found = []
    for start in range(0, len(part), EVALUATION_BATCH):
        logits = session(dataset.prepare(part.inputs[start : start + EVALUATION_BATCH]))
        if logits.ndim != 2 or logits.shape[1] < len(dataset.classes):
            raise WorkbenchError(
                f"The model's output has shape {logits.shape[1:]}, but the dataset has {len(dataset.classes)} classes.",
                "Give a classifier with one output for each class.",
            )
        if not np.isfinite(logits).all():
            raise WorkbenchError(
                "The model's outputs are NaN or infinite.",
                "Check its weights; after training, lower the learning rate; after pruning, the ratio.",
            )
        found.append(logits)
        report(share=min(1.0, (start + EVALUATION_BATCH) / len(part)), message=f"Evaluating on the {split} split")
    return np.concatenate(found)


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
        Where accuracy is taken.
    baseline : pathlib.Path, optional
        The baseline's artifact, timed in the same loop; without it the artifact is timed against itself and no
        speed-up is given.
    baseline_answers : numpy.ndarray, optional
        The baseline's top class for every sample, shape (N,).
    report : callable
        Told of the progress; may raise `Cancelled`.

    Returns
    -------
    Metrics
    numpy.ndarray
        The top class for every sample of the split, shape (N,).
    """
    session = setting.load(artifact)
    logits = outputs(session, dataset, split, report)
    predicted = logits.argmax(1)
    labels = getattr(dataset, split).labels
    right = predicted == labels
    fixed = broken = 0
    if baseline_answers is not None:
        before = baseline_answers == labels
        fixed, broken = int((right & ~before).sum()), int((~right & before).sum())

    # What no kernel computes with says nothing about speed, nor does another runtime.
    timed = setting.comparable(artifact) and not work.simulated
    timing = _timed(session, baseline, dataset, setting, report) if timed else None
    process, unmeasured = (None, []) if work.simulated else _process_cost(artifact, dataset, setting, report)

    macs = count_macs(work.module, dataset.prepare(dataset.validation.inputs[:1]))
    parameters = sum(p.numel() for p in work.module.parameters())
    metrics = Metrics(
        split=split,
        samples=len(labels),
        accuracy=share_of(int(right.sum()), len(labels)),
        fixed=fixed,
        broken=broken,
        quality=quality(logits, labels),
        accuracy_p=float(stats.binomtest(fixed, fixed + broken).pvalue) if fixed + broken else 1.0,
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
    return metrics, predicted


def _timed(session: Session, baseline: Path | None, dataset: Dataset, setting: Setting, report: Report) -> Paired:
    inputs = dataset.prepare(_cycled(dataset.validation.inputs, setting.batch))
    reference = setting.runtime.load(baseline, setting.threads, setting.device) if baseline else session
    on_gpu = setting.device == "cuda" and setting.runtime.name == "torch"  # whose queue torch's events see
    return paired(
        lambda: reference(inputs),
        lambda: session(inputs),
        seconds=setting.seconds,
        clock=cuda_clock if on_gpu else wall_clock,
        report=report,
    )


def _process_cost(
    artifact: Path, dataset: Dataset, setting: Setting, report: Report
) -> tuple[ProcessCost | None, list[str]]:
    """What a fresh process pays, or a sentence that says why this is not known."""
    if setting.device != "cpu":
        return None, []
    report(share=1.0, message="Starting it in a fresh process")
    try:
        shape = (setting.batch, *dataset.sample_shape)
        return process_cost(runtime_of(artifact, setting.runtime), artifact, shape, setting.threads), []
    except WorkbenchError as error:
        return None, [f"Cold start and memory were not measured. {error.message}"]


def _energy(session: Session, artifact: Path, work: Work, macs: int, dataset: Dataset, setting: Setting) -> Energy:
    """By the machine's counters; by a model where there are none."""
    inputs = dataset.prepare(_cycled(dataset.validation.inputs, setting.batch))
    found = measured_energy(lambda: session(inputs), setting.batch, setting.device, min(1.0, setting.seconds))
    int8 = work.quantization is not None and work.quantization.mode != "weight-only"
    return found or modelled_energy(macs, artifact.stat().st_size, int8)


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
        seconds=timing.seconds,
        precise=timing.precise,
        cpu_share=timing.cpu_share,
        machine=timing.machine,
    )


def parity(session: Session, module: nn.Module, dataset: Dataset) -> Parity:
    """The artifact against the module, on the first 256 validation samples."""
    inputs = dataset.prepare(dataset.validation.inputs[:PARITY_SAMPLES])
    with torch.inference_mode():
        expected = module.eval().to("cpu")(torch.from_numpy(inputs)).numpy()
    got = session(inputs)
    return Parity(
        samples=len(inputs),
        largest_difference=float(np.abs(got - expected).max()),
        same_answers=float((got.argmax(1) == expected.argmax(1)).mean()),
    )


def count_macs(module: nn.Module, inputs: np.ndarray) -> int:
    """Multiply-accumulates of convolutions and matrix products for these inputs, shape (1, ...)."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module.eval()(torch.from_numpy(inputs))
    return counter.get_total_flops() // 2


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


def processor() -> str:
    """The name of this machine's processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _cycled(inputs: np.ndarray, count: int) -> np.ndarray:
    return inputs[np.arange(count) % len(inputs)]
