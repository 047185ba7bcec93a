"""How weights are moved: optimizers, the course of the learning rate, and penalties on the weights."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from workbench.steps.finetune import Training


def optimizer_of(parameters: Iterable[nn.Parameter], settings: Training) -> torch.optim.Optimizer:
    """The optimizer that `settings` names.

    With gradient g, rate r and weight decay d: SGD ``v = 0.9 v + g + d w``, ``w -= r (g + d w + 0.9 v)``; Adam
    ``w -= r m / (sqrt(s) + eps)`` with m and s the running means of ``g + d w`` and of its square, corrected for their
    start at zero; AdamW the same of g alone, and ``w -= r d w`` beside it.

    References
    ----------
    Sutskever et al.: On the importance of initialization and momentum in deep learning, 2013 (ICML), for Nesterov's
    momentum. Kingma, Ba: Adam, 2015 (arXiv 1412.6980). Loshchilov, Hutter: Decoupled Weight Decay Regularization, 2019
    (arXiv 1711.05101), for AdamW.
    """
    rates: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=0.9, nesterov=True, **rates)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer](parameters, **rates)


def schedule_of(optimizer: torch.optim.Optimizer, settings: Training, updates: int) -> LambdaLR:
    """The course of the learning rate over all updates; see `rate`."""
    return LambdaLR(optimizer, lambda update: rate(settings, update, updates))


def rate(settings: Training, update: int, updates: int) -> float:
    """The share of the learning rate at one update.

    It rises linearly over the warm-up. Then, with s the share of the remaining updates that is done and f the final
    rate: cosine ``f + (1 - f) (1 + cos(pi s)) / 2`` (Loshchilov and Hutter 2017, arXiv 1608.03983), linear
    ``1 - (1 - f) s``, step a tenth from the half and a hundredth from three quarters on, but not less than f (He et
    al. 2016, arXiv 1512.03385), constant 1.
    """
    rise, final = int(settings.warmup * updates), settings.final_rate
    if update < rise:
        return (update + 1) / (rise + 1)
    share = (update - rise) / max(1, updates - rise)
    if settings.schedule == "cosine":
        return final + (1 - final) * (1 + math.cos(math.pi * share)) / 2
    if settings.schedule == "linear":
        return 1 - (1 - final) * share
    if settings.schedule == "step":
        return max(final, 1.0 if share < 0.5 else 0.1 if share < 0.75 else 0.01)
    return 1.0


def norms(module: nn.Module, l1: float, l2: float) -> Tensor:
    """``l1 * sum |w| + l2 / 2 * sum w^2`` over the weights of all convolution and linear layers."""
    layers = (layer for layer in module.modules() if isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd)))
    return sum((l1 * w.abs().sum() + l2 / 2 * w.square().sum() for w in (x.weight for x in layers)), torch.zeros(()))
