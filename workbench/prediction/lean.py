"""A copy of a model that answers a few samples in as little time as this machine needs."""

import contextlib
import copy
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from workbench.layout import channels_last
from workbench.machine import processors
from workbench.prediction.in_place import in_place
from workbench.quantization.folding import Norm, fold, norms_after
from workbench.quantization.layers import Layer, part
from workbench.threads import threads

QUICK, SLOW = 0.002, 0.5  # seconds: with fewer, nothing is to be gained; what takes more isn't timed twice
TIMES = 5  # that it is timed, for the best of them
ALIKE = 1e-3  # of the largest answer: what sums in another order come to
FEW = 8  # samples: fewer aren't worth a processor of their own


@dataclass(frozen=True)
class Lean:
    """A model without its batch-norms, in place, channels last, with 16-bit floats where these are faster and right.

    Each processor answers some of the samples for itself, so that one that is busy with something else delays none but
    its own. Parameters have the names that they had. Whether 16-bit floats (Kalamkar et al.: BFLOAT16, 2019) are
    faster is timed, as not every processor has them.

    Attributes
    ----------
    module : torch.nn.Module
    inputs : torch.Tensor
        What it answers.
    seconds : float
        That this takes at best.
    """

    module: nn.Module
    inputs: Tensor
    seconds: float

    @classmethod
    def of(cls, module: nn.Module, inputs: Tensor) -> "Lean":
        """The leanest copy of a module for prepared inputs of shape (samples, ...)."""
        full = _without_norms(module, inputs)
        channels_last(full, inputs)
        seconds = _best(full, inputs)
        if seconds >= QUICK:
            short = copy.deepcopy(full).to(torch.bfloat16), inputs.to(torch.bfloat16)
            try:
                taken = _best(*short)
            except RuntimeError:  # it mixes its floats with some that it makes itself
                taken = math.inf
            if taken < seconds:
                return cls(*short, taken)
        return cls(full, inputs, seconds)

    def answers(self) -> Tensor:
        """Logits of its inputs, float32, shape (samples, classes)."""
        return _answers(self.module, self.inputs).float()


def _without_norms(module: nn.Module, inputs: Tensor) -> nn.Module:
    """A copy whose layers have taken in the batch-norms after them; with them, if it answers otherwise without."""
    whole = copy.deepcopy(module).eval()
    lean = copy.deepcopy(whole)
    after = norms_after(lean)
    for layer in fold(lean):
        _take_in(part(lean, layer), part(lean, after[layer]))
        lean.set_submodule(after[layer], nn.Identity())
    expected = _answers(whole, inputs)
    near = ALIKE * float(expected.nan_to_num(0, 0, 0).abs().max())
    for leaner in in_place(lean), lean:
        # code may ask batch-norms for what they are, or sum what can't be summed in place
        with contextlib.suppress(AttributeError, RuntimeError):
            if torch.allclose(_answers(leaner, inputs), expected, rtol=ALIKE, atol=near):
                return leaner
    return whole


def _take_in(layer: Layer, norm: Norm) -> None:
    """Give a layer the shift of a batch-norm that has no factor any more."""
    assert isinstance(norm.running_mean, Tensor)
    shift = norm.bias.detach() - norm.running_mean
    layer.bias = nn.Parameter(shift if layer.bias is None else layer.bias.detach() + shift)


def _answers(module: nn.Module, inputs: Tensor) -> Tensor:
    first, *others = inputs.chunk(max(1, min(processors(), len(inputs) // FEW)))
    told = [_others().submit(_alone, module, part) for part in others]
    return torch.cat([_alone(module, first), *(each.result() for each in told)])


def _alone(module: nn.Module, inputs: Tensor) -> Tensor:
    with threads(1), torch.no_grad():
        answers: Tensor = module(inputs)
    return answers


@cache
def _others() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(processors())


def _best(module: nn.Module, inputs: Tensor) -> float:
    best = math.inf
    for _ in range(TIMES):
        begun = time.perf_counter()
        _answers(module, inputs)
        best = min(best, time.perf_counter() - begun)
        if best > SLOW:
            break
    return best
