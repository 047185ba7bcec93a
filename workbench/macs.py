"""Multiply-accumulates: of a whole model, and how often each layer uses its weights."""

from contextlib import ExitStack
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def count_macs(module: nn.Module, inputs: np.ndarray) -> int:
    """Multiply-accumulates of convolutions and matrix products for these inputs, shape (1, ...)."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module.eval()(torch.from_numpy(inputs))
    return counter.get_total_flops() // 2


def weight_uses(module: nn.Module, inputs: np.ndarray) -> dict[str, int]:
    """For each convolution or linear layer that runs, at how many places one sample uses its weights, in the order of
    first use: times the number of its weights, the layer's multiply-accumulates.

    Parameters
    ----------
    inputs : ndarray
        Of shape (1, ...).
    """
    found: dict[str, int] = {}

    def note(name: str, layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        transposed = getattr(layer, "transposed", False)
        outputs = layer.get_parameter("weight").shape[1 if transposed else 0]
        places = given[0].numel() // given[0].shape[1] if transposed else output.numel() // outputs
        found[name] = found.get(name, 0) + places // len(output)

    with ExitStack() as stack, torch.no_grad():
        for name, layer in module.named_modules():
            if isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd)):
                stack.callback(layer.register_forward_hook(partial(note, name)).remove)
        module.eval()(torch.from_numpy(inputs))
    return found


def layer_macs(module: nn.Module, inputs: np.ndarray) -> dict[str, int]:
    """For each convolution or linear layer that runs its multiply-accumulates for these inputs, shape (1, ...)."""
    uses = weight_uses(module, inputs)
    return {name: count * module.get_submodule(name).get_parameter("weight").numel() for name, count in uses.items()}
