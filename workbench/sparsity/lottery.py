"""The lottery: the kept weights are put back to where they began, and trained alone."""

import copy

import torch
from torch import nn

from workbench.pruning.weights import prunable
from workbench.sparsity.iterative import prune_smallest
from workbench.steps.base import Context, Work
from workbench.steps.sparsify import Sparsify


def draw_ticket(work: Work, step: Sparsify, context: Context) -> None:
    """In each round train, zero the smallest weights, and rewind the others; then train what is left.

    They are rewound to the start of this step (to fresh random weights, where asked), or to where they stood after a
    few epochs of training. After round k of n a share ``1 - (1 - ratio)^(k / n)`` is zero: each round removes the same
    share of what is left.

    References
    ----------
    Frankle, Carbin: The Lottery Ticket Hypothesis, 2019 (arXiv 1803.03635). Frankle et al.: Stabilizing the Lottery
    Ticket Hypothesis, 2019 (arXiv 1903.01611), for rewinding to an early epoch.
    """
    trainings = step.rounds + 1 + bool(step.rewind)
    if step.fresh:
        draw_weights(work.module, context.seed)
    if step.rewind:
        early = step.model_copy(update={"epochs": step.rewind})
        early.learn(work, context.part(0, trainings))
    start = copy.deepcopy(work.module.state_dict())
    for index in range(step.rounds):
        step.learn(work, context.part(bool(step.rewind) + index, trainings))
        prune_smallest(work, step, context, (index + 1) / step.rounds)
        rewind(work.module, start)
    step.learn(work, context.part(trainings - 1, trainings))


def draw_weights(module: nn.Module, seed: int) -> None:
    """Give every layer that knows how to begin fresh random weights."""
    torch.manual_seed(seed)
    for layer in module.modules():
        if callable(reset := getattr(layer, "reset_parameters", None)):
            reset()


def rewind(module: nn.Module, start: dict[str, torch.Tensor]) -> None:
    """Put back every weight, bias and buffer, but leave the zeros."""
    kept = {name: module.get_parameter(name) != 0 for name in prunable(module)}
    module.load_state_dict(start)
    with torch.no_grad():
        for name, mask in kept.items():
            module.get_parameter(name).mul_(mask)
