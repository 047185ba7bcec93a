"""Units go first without which the outputs change least: each is tried."""

import torch
from torch import nn

from workbench.pruning.groups import Group
from workbench.pruning.importance.base import Scores
from workbench.steps.base import Context

SAMPLES = 64


def ablation(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """``mean (f(x) - f_u(x))^2``, with f_u the model without unit u, over the outputs of 64 calibration samples.

    References
    ----------
    Molchanov et al.: Pruning Convolutional Neural Networks for Resource Efficient Inference, 2017 (arXiv 1611.06440),
    where trying each unit is the oracle that other importances are held against, there by the loss.
    """
    inputs = torch.from_numpy(context.dataset.prepare(context.dataset.calibration.inputs[:SAMPLES]))
    found: Scores = []
    total, done = sum(group.units for group in groups), 0
    with torch.no_grad():
        expected = module.eval()(inputs)
        for group in groups:
            changes = torch.empty(group.units)
            for unit in range(group.units):
                with group.without(module, unit):
                    changes[unit] = (module(inputs) - expected).square().mean()
                done += 1
                context.report(share=done / total, message="Trying the model without each")
            found.append(changes)
    return found
