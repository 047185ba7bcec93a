"""Movement pruning: which weights stay is learned along with them."""

import torch
from torch import Tensor, nn

from workbench.sparsity.masks import Mask, train_masked
from workbench.steps.base import Context, Work
from workbench.steps.sparsify import Sparsify


def prune_by_movement(work: Work, step: Sparsify, context: Context) -> None:
    """Keep the weights with the highest scores S, which training learns by the straight-through estimator.

    The model computes with ``W * M``, where the mask M keeps the highest scores and their share falls along the cubic
    schedule. The gradient passes M as if it were S itself, ``dL/dS = dL/d(W M) * W``: a score rises as its weight moves
    away from zero and falls as it moves towards it, masked or not, so that a weight may come back.

    It needs a model that is still learning, such as one that is moved to other data: where training has come to rest,
    nothing moves, and magnitude knows more.

    References
    ----------
    Sanh, Wolf, Rush: Movement Pruning: Adaptive Sparsity by Fine-Tuning, 2020 (arXiv 2005.07683).
    """
    train_masked(work, step, context, LearnedMask)


class LearnedMask(Mask):
    """A mask that keeps the weights with the highest learned scores."""

    def __init__(self, weight: Tensor):
        super().__init__(weight)
        self.scores = nn.Parameter(torch.zeros_like(weight))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * (self.mask + self.scores - self.scores.detach())

    def score(self, weight: Tensor) -> Tensor:
        """The learned score; of what was zero before, the lowest."""
        return self.scores.where(weight != 0, -torch.inf)
