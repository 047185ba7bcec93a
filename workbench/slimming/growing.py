"""Growing regularization: the channels that are to go are pressed ever harder, so that the others take over."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from workbench.pruning.plan import replay
from workbench.slimming.base import ChannelPenalty, squared_norms
from workbench.steps.base import Context, Work
from workbench.steps.slim import Slim


class Growing(ChannelPenalty):
    """``lambda(t) / 2 * sum of w^2`` over all weights of the smallest channels, with lambda rising from 0.

    Which channels go is decided at the start, by L1; those very channels are cut at the end. The factor rises in
    proportion to the updates done, up to the strength.

    References
    ----------
    Wang et al.: Neural Pruning via Growing Regularization, 2021 (arXiv 2012.09243), its GReg-1.
    """

    usual = 1.0
    importance = "l1"

    def __init__(self, work: Work, step: Slim, context: Context):
        super().__init__(work, step, context)
        trial = replace(work, module=copy.deepcopy(work.module), plan=[], notes=[])
        self.pruning.apply(trial, context)
        self.plan, self.notes, self.now = trial.plan, trial.notes, 0.0
        indices = {edit["layer"]: torch.tensor(edit["indices"]) for edit in self.plan}
        self.doomed = [
            (group, (indices[group.name] % group.units).unique()) for group in self.groups if group.name in indices
        ]

    def __call__(self, module: nn.Module) -> Tensor:
        squares = [squared_norms(module, group)[units].sum() for group, units in self.doomed]
        return self.now / 2 * sum(squares, torch.zeros(()))

    def grow(self, done: int, total: int) -> None:
        self.now = self.factor * done / total

    def cut(self, work: Work, context: Context) -> None:
        replay(work.module, self.example, self.plan)
        work.plan.extend(self.plan)
        work.notes.extend(self.notes)
