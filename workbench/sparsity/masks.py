"""Masks that take more and more weights during one training."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from workbench.constraints import Constraint, parametrized
from workbench.pruning.weights import Goal, own_ratios, prunable, refuse_empty, set_zeros
from workbench.steps.base import Context, Work
from workbench.steps.sparsify import Sparsify


def cubic(t: float, initial: float, final: float) -> float:
    """The sparsity at the share `t` of the way (Zhu & Gupta 2017): ``s_f + (s_i - s_f) (1 - t)^3``."""
    return final + (initial - final) * (1 - min(t, 1.0)) ** 3


class Mask(nn.Module):
    """A weight times a mask of zeros and ones; by its score, what is masked stays so."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.register_buffer("mask", torch.ones_like(weight))
        self.mask: Tensor

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight

    def score(self, weight: Tensor) -> Tensor:
        """What each weight is worth: its magnitude."""
        return (weight * self.mask).abs()


class RisingMasks(Constraint):
    """Masks on weights, by name, that are drawn anew every few updates along the cubic schedule.

    Parameters
    ----------
    goal : Goal
        What is zero in the end.
    names : list of str
    way : callable
        Makes the mask of a weight.
    initial : float
        The sparsity to start from.
    until : float
        The share of the training at which the goal is reached.
    every : int
        Updates from one drawing to the next.
    """

    def __init__(
        self, goal: Goal, names: list[str], way: Callable[[Tensor], Mask], initial: float, until: float, every: int
    ):
        self.goal, self.names, self.way = goal, names, way
        self.initial, self.until, self.every = initial, until, every

    @contextmanager
    def held(self, module: nn.Module) -> Iterator[None]:
        self.owners: dict[str, Any] = {name: module.get_submodule(name.rpartition(".")[0]) for name in self.names}
        self.masks = {name: self.way(owner.weight.detach()) for name, owner in self.owners.items()}
        with parametrized(module, self.masks):  # type: ignore[arg-type]
            yield

    def update(self, done: int, total: int) -> None:
        """Draw the masks as they should be after `done` of `total` updates."""
        last = math.ceil(self.until * total)
        if done % self.every and done not in (last, total):
            return
        goal = self.goal.at(lambda final: cubic(done / last, min(self.initial, final), final))
        with torch.no_grad():
            weights = {name: owner.parametrizations.weight.original for name, owner in self.owners.items()}
            kept = goal.keep({name: mask.score(weights[name]) for name, mask in self.masks.items()})
            refuse_empty(weights, kept)
            for name, mask in self.masks.items():
                mask.mask.copy_(kept[name])


def train_masked(work: Work, step: Sparsify, context: Context, way: Callable[[Tensor], Mask]) -> None:
    """One training under rising masks of one kind; the best epoch is one at which all of them have risen."""
    names = prunable(work.module)
    weights = [work.module.get_parameter(name) for name in names]
    initial = 1 - sum(int(w.count_nonzero()) for w in weights) / sum(w.numel() for w in weights)
    masks = RisingMasks(
        Goal(step.ratio, step.scope, own_ratios(step.layers, names)), names, way, initial, step.until, step.every
    )
    laid = replace(work, constraints={**work.constraints, "masks": masks})
    step.learn(laid, context, after_update=masks.update, since=step.until)
    set_zeros(work, {name: work.module.get_parameter(name) != 0 for name in names})
