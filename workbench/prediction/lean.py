"""A copy of a model that answers a few samples in as little time as this machine needs."""

import copy
import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workbench.layout import channels_last
from workbench.quantization.folding import Norm, fold, norms_after
from workbench.quantization.layers import Layer, part
from workbench.threads import threads

QUICK, SLOW = 0.002, 0.5  # seconds: with fewer, nothing is to be gained; what takes more isn't timed twice
TIMES = 5  # that it is timed, for the best of them
ALIKE = 1e-3  # of the largest answer: what sums in another order come to


@dataclass(frozen=True)
class Lean:
    """A model without its batch-norms, with its channels last and 16-bit floats, where that is faster and right.

    Parameters have the names that they had. Whether 16-bit floats (Kalamkar et al.: BFLOAT16, 2019) are faster is
    timed, as not every processor has them.

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
    try:
        return lean if torch.allclose(_answers(lean, inputs), expected, rtol=ALIKE, atol=near) else whole
    except AttributeError:  # its code asks its batch-norms for what they are
        return whole


def _take_in(layer: Layer, norm: Norm) -> None:
    """Give a layer the shift of a batch-norm that has no factor any more."""
    assert isinstance(norm.running_mean, Tensor)
    shift = norm.bias.detach() - norm.running_mean
    layer.bias = nn.Parameter(shift if layer.bias is None else layer.bias.detach() + shift)


def _answers(module: nn.Module, inputs: Tensor) -> Tensor:
    with threads(1), torch.no_grad():  # others want the processors, too
        answers: Tensor = module(inputs)
    return answers


def _best(module: nn.Module, inputs: Tensor) -> float:
    best = math.inf
    for _ in range(TIMES):
        begun = time.perf_counter()
        _answers(module, inputs)
        best = min(best, time.perf_counter() - begun)
        if best > SLOW:
            break
    return best
