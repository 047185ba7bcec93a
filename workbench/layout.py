"""The layout of convolutions in memory: channels last is the fastest on processors, where a model can run in it."""

import torch
from torch import Tensor, nn


def channels_last(module: nn.Module, example: Tensor) -> bool:
    """Lay the weights of convolutions out with their channels last, in place; whether that could be done.

    Code that flattens by ``view`` can't run then, and convolutions over three dimensions have another such layout:
    such models stay as they are.

    Parameters
    ----------
    module : torch.nn.Module
    example : torch.Tensor
        Prepared inputs on the module's device, shape (N, ...); one of them is tried.
    """
    dimensions = {parameter.dim() for parameter in module.parameters()}
    if 4 not in dimensions or max(dimensions) > 4:
        return False
    training = module.training
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        with torch.no_grad():
            module.eval()(example[:1])
    except RuntimeError:
        module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return False
    finally:
        module.train(training)
    return True
