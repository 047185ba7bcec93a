"""A trial layer by layer: what each has left of its channels, weights and bits, and what it costs."""

import copy
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from workbench.carry_out import PLAN
from workbench.profiling import Operation, milliseconds_of, without_profiler
from workbench.pruning.plan import replay

if TYPE_CHECKING:
    from workbench.data import Dataset
    from workbench.trial import Trial

KINDS = (nn.Linear, nn.modules.conv._ConvNd)


@dataclass(frozen=True, eq=False)
class Layer:
    """One convolution or linear layer of a trial.

    Attributes
    ----------
    name, kind : str
        As in the module: ``conv1``, ``Conv2d``.
    weight : tuple of int
        The shape of its weight.
    given, taken : tuple of int
        Shapes of its output and its input for one sample.
    channels : int
        Output channels, or features.
    kept : numpy.ndarray or None
        Which of the baseline's output channels they are, shape (channels,); None if the baseline has no such layer.
    zeros : float
        Share of its weights that are zero.
    bits : int
        Of each stored weight.
    macs : int
        Multiply-accumulates for one sample.
    milliseconds : float or None
        For one call, by the runtime's profiler, where it was asked.
    integer : bool
        Whether the runtime computes it with integers.
    """

    name: str
    kind: str
    weight: tuple[int, ...]
    given: tuple[int, ...]
    taken: tuple[int, ...]
    channels: int
    kept: np.ndarray | None
    zeros: float
    bits: int
    macs: int
    milliseconds: float | None = None
    integer: bool = False

    @property
    def stored(self) -> float:
        """Bytes of its weights."""
        return float(np.prod(self.weight)) * self.bits / 8

    def moved(self, batch: int) -> float:
        """Bytes that a call must at least read or write: weights once, inputs and outputs of every sample."""
        each = 1 if self.integer else 4
        return self.stored + batch * each * float(np.prod(self.taken) + np.prod(self.given))


def layers_of(trial: "Trial", operations: Iterable[Operation] = ()) -> list[Layer]:
    """The layers of a trial in the order in which they are executed, with their times if `operations` tell them."""
    module = trial.module()
    bits = trial.runtime.weight_bits(trial.artifact) if trial.artifact else {}
    kept = _kept(trial)
    example = torch.from_numpy(trial.study.dataset.prepare(trial.study.dataset.validation.inputs[:1]))
    found = [_layer(*call, kept, bits) for call in _calls(module, example)]
    timed: dict[str, list[Operation]] = {}
    for operation in operations:
        timed.setdefault(operation.layer or "", []).append(operation)
    return [
        replace(
            layer,
            milliseconds=sum(operation.milliseconds for operation in timed[layer.name]),
            integer=any(operation.integer for operation in timed[layer.name]),
        )
        if layer.name in timed
        else layer
        for layer in found
    ]


def profiled(trial: "Trial") -> list[Operation]:
    """A trial's operations, timed as its study measures: with its threads and its batch."""
    study = trial.study
    assert trial.artifact is not None
    inputs, session = batch_of(study.dataset, study.batch), trial.load()
    operations = trial.runtime.profile(trial.artifact, inputs, study.threads)
    return without_profiler(operations, milliseconds_of(lambda: session(inputs)))


def batch_of(dataset: "Dataset", count: int) -> np.ndarray:
    """So many prepared validation inputs, over again where there are too few."""
    return dataset.prepare(dataset.validation.inputs[np.arange(count) % len(dataset.validation)])


def _calls(module: nn.Module, example: torch.Tensor) -> list[tuple[str, nn.Module, tuple, tuple]]:
    """Name, layer, input shape and output shape of every layer that runs, once each, in order."""
    calls: dict[str, tuple[str, nn.Module, tuple, tuple]] = {}
    hooks = []
    for name, layer in module.named_modules():
        if isinstance(layer, KINDS):

            def note(layer: nn.Module, taken: tuple, given: torch.Tensor, name: str = name) -> None:
                calls.setdefault(name, (name, layer, tuple(taken[0].shape[1:]), tuple(given.shape[1:])))

            hooks.append(layer.register_forward_hook(note))
    try:
        with torch.inference_mode():
            module.eval()(example)
    finally:
        for hook in hooks:
            hook.remove()
    return list(calls.values())


def _layer(name: str, layer: nn.Module, taken: tuple, given: tuple, kept: dict, bits: dict[str, int]) -> Layer:
    weight: torch.Tensor = layer.weight  # type: ignore[assignment]
    transposed = getattr(layer, "transposed", False)
    return Layer(
        name=name,
        kind=type(layer).__name__,
        weight=tuple(weight.shape),
        given=given,
        taken=taken,
        channels=channels_of(layer),
        kept=kept.get(name),
        zeros=float((weight == 0).float().mean()),
        bits=bits.get(name, 32),
        macs=int(np.prod(taken if transposed else given)) * weight[0].numel(),
    )


def channels_of(layer: nn.Module) -> int:
    """Output channels of a convolution, output features of a linear layer."""
    return layer.out_features if isinstance(layer, nn.Linear) else int(layer.out_channels)  # type: ignore[arg-type]


def _kept(trial: "Trial") -> dict[str, np.ndarray]:
    """For each layer, which of the baseline's output channels it still has.

    Every weight of the unpruned model is set to the number of its output channel, and the edits made again.
    """
    saved = json.loads((trial.study.storage.folder(trial.number) / PLAN).read_text(encoding="utf-8"))
    if saved.get("architecture"):
        return {}
    tagged = copy.deepcopy(trial.study.module)
    layers = [(name, layer) for name, layer in tagged.named_modules() if isinstance(layer, KINDS)]
    with torch.no_grad():
        for _, layer in layers:
            if not getattr(layer, "transposed", False):
                layer.weight.copy_(torch.arange(len(layer.weight)).view(-1, *[1] * (layer.weight.ndim - 1)))
    dataset = trial.study.dataset
    replay(tagged, torch.from_numpy(dataset.prepare(dataset.calibration.inputs[:2])), saved["edits"])
    return {
        name: layer.weight.detach().flatten(1)[:, 0].long().numpy()
        for name, layer in tagged.named_modules()
        if isinstance(layer, KINDS) and not getattr(layer, "transposed", False)
    }
