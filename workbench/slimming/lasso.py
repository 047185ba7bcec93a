"""Group lasso: a channel's weights shrink together, to nothing."""

import torch
from torch import Tensor, nn

from workbench.slimming.base import ChannelPenalty, squared_norms


class Lasso(ChannelPenalty):
    """``lambda * sum over channels of |w|_2``, with w all weights that go with the channel.

    Those are the filters that compute it, the norms that scale it, and what later layers take in of it. Unlike the
    square, the norm pulls at a small channel as hard as at a large one.

    References
    ----------
    Wen et al.: Learning Structured Sparsity in Deep Neural Networks, 2016 (arXiv 1608.03665), for filters and channels
    of a layer; what depends on a channel is as in Fang et al.: DepGraph, 2023 (arXiv 2301.12900).
    """

    usual = 2e-3
    importance = "group"

    def __call__(self, module: nn.Module) -> Tensor:
        # the square root has no gradient at zero
        norms = [squared_norms(module, group).clamp(min=1e-20).sqrt().sum() for group in self.groups]
        return self.factor * sum(norms, torch.zeros(()))
