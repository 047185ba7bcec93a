"""A layer timed alone, against the same layer changed in one respect."""

import copy
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from workbench.estimates import Estimate
from workbench.latency import budget, paired
from workbench.layers import Layer, channels_of
from workbench.steps import Quantize
from workbench.steps.base import Work

if TYPE_CHECKING:
    from workbench.trial import Trial

MULTIPLES = (8, 16)  # of channels, that fill the vectors of today's processors
SECONDS = 2.0  # at most, for each pair
LEAST = 1.1  # times the arithmetic in the same time, from which on a wider layer is the better one


@dataclass(frozen=True)
class Wider:
    """A layer with more channels that does its arithmetic faster.

    Attributes
    ----------
    widths : dict of int to int
        Its channels, of inputs and outputs, that aren't a multiple of this, and what they are rounded up to.
    multiple : int
    more : float
        Times the arithmetic.
    speedup : Estimate
        Time of the layer as it is over that of the wider one.
    """

    widths: dict[int, int]
    multiple: int
    more: float
    speedup: Estimate


def zeros_speedup(trial: "Trial", layer: Layer) -> Estimate:
    """How much faster a layer is than with random numbers in place of its zeros."""
    sparse = copy.deepcopy(trial.module().get_submodule(layer.name))
    dense = copy.deepcopy(sparse)
    weight: torch.Tensor = dense.weight  # type: ignore[assignment]
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)) * (weight.std() + 1e-3)
    weight.data = torch.where(weight == 0, noise, weight)
    return _against(trial, layer, dense, sparse)


def faster_wider(trial: "Trial", layer: Layer) -> Wider | None:
    """The most efficient wider form of a layer, in multiples of 8 or 16 channels; None where it gains but a tenth."""
    module, found = trial.module().get_submodule(layer.name), []
    seen = {tuple(layer.weight)}
    for multiple in MULTIPLES:
        wider = widened(module, multiple)
        if wider is None or tuple(wider.weight.shape) in seen:
            continue
        seen.add(tuple(wider.weight.shape))
        more = wider.weight.numel() / float(np.prod(layer.weight))
        speedup = _against(trial, layer, module, wider)
        if speedup.low * more > LEAST:
            both = [(_inputs(one), channels_of(one)) for one in (module, wider)]
            widths = {before: after for before, after in zip(*both, strict=True) if before != after}
            found.append(Wider(widths, multiple, more, speedup))
    return max(found, key=lambda wider: wider.speedup.value * wider.more, default=None)


def widened(layer: nn.Module, multiple: int) -> nn.Linear | nn.modules.conv._ConvNd | None:
    """The same layer with its channels rounded up to a multiple, or None where that can't be."""

    def up(count: int) -> int:
        return -(-count // multiple) * multiple if count >= multiple // 2 else count  # the colours stay as they are

    torch.manual_seed(0)
    if isinstance(layer, nn.Linear):
        return nn.Linear(up(layer.in_features), up(layer.out_features), layer.bias is not None)
    if not isinstance(layer, nn.modules.conv._ConvNd) or layer.groups != 1 or layer.transposed:
        return None
    return type(layer)(  # type: ignore[call-arg]
        up(layer.in_channels),
        up(layer.out_channels),
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        bias=layer.bias is not None,
    )


def _against(trial: "Trial", layer: Layer, first: nn.Module, second: nn.Module) -> Estimate:
    """Time of the first over that of the second, each alone in the study's runtime, quantized as in the trial."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory()))
        runs = [_run(trial, layer, module, folder / name) for name, module in (("first", first), ("second", second))]
        return paired(*runs, seconds=min(SECONDS, budget())).speedup


def _run(trial: "Trial", layer: Layer, module: nn.Module, path: Path) -> Callable[[], np.ndarray]:
    study = trial.study
    shape = list(layer.taken)
    shape[0 if len(shape) > 1 and layer.kind.startswith("Conv") else -1] = _inputs(module)
    samples = np.random.default_rng(0).standard_normal((max(32, study.batch), *shape)).astype(np.float32)
    step = next((s for s in trial.recipe if isinstance(s, Quantize)), None)
    quantize = Quantize(mode=step.mode, weight_bits=layer.bits) if step and layer.bits < 32 else None
    study.runtime.export(Work(module.eval(), quantization=quantize), samples[:2], samples[:32], path)
    session, inputs = study.runtime.load(path, study.threads), samples[: study.batch]
    return lambda: session(inputs)


def _inputs(module: nn.Module) -> int:
    return module.in_features if isinstance(module, nn.Linear) else int(module.in_channels)  # type: ignore[arg-type]
