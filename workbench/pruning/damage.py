"""What a narrower model lost of what the whole one says, told without any training or label."""

import copy
import math
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from workbench.pruning.groups import Group

LEAST = 1e-6


def lost(expected: Tensor, found: Tensor) -> float:
    """Minus the logarithm of the share of the expected outputs' variance that the found ones explain.

    It is 0 for outputs that differ in scale and offset only, which training soon mends, and adds up where parts of a
    model follow each other, as the shares that they let through are multiplied.

    Parameters
    ----------
    expected, found : torch.Tensor
        Outputs of both models for the same inputs, shape (N, ...).
    """
    a, b = (outputs.double() - outputs.double().mean(0) for outputs in (expected, found))
    explained = float((a * b).sum() ** 2 / ((a * a).sum() * (b * b).sum()).clamp(min=1e-30))
    return -math.log(max(explained, LEAST)) if math.isfinite(explained) else -math.log(LEAST)


class Damage:
    """What a model loses when each group keeps so many of its best units, before any training.

    Batch-norms have the statistics of the inputs looked at: a narrowed layer shifts what flows into those after it, and
    their old statistics would tell more of that shift than of what training can recover.

    Parameters
    ----------
    module : torch.nn.Module
        Is left as it was.
    groups : list of Group
    scores : list of torch.Tensor
        Importance, one for each group, shape (units,).
    inputs : torch.Tensor
        Prepared, shape (N, ...), N at least 2.

    References
    ----------
    Li et al.: EagleEye, 2020 (arXiv 2007.02491), who find that accuracy with batch-norms estimated anew ranks pruned
    models as their accuracy after training does.
    """

    def __init__(self, module: nn.Module, groups: list[Group], scores: list[Tensor], inputs: Tensor):
        self.module, self.groups, self.inputs = copy.deepcopy(module).eval(), groups, inputs
        self.order = [score.argsort(stable=True).tolist() for score in scores]
        for part in self.module.modules():
            if isinstance(part, _BatchNorm):
                part.train()
        self.expected = self._outputs()

    def __call__(self, kept: list[int]) -> float:
        """What is lost where each group keeps so many units."""
        with ExitStack() as stack:
            for group, order, count in zip(self.groups, self.order, kept, strict=True):
                if count < group.units:
                    stack.enter_context(group.without(self.module, *order[: group.units - count]))
            return lost(self.expected, self._outputs())

    def _outputs(self) -> Tensor:
        with torch.no_grad():
            return self.module(self.inputs)
