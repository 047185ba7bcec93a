"""Network slimming: the scales of batch-norms learn which channels matter."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as Norm

from workbench.errors import WorkbenchError
from workbench.slimming.base import ChannelPenalty
from workbench.steps.base import Context, Work
from workbench.steps.slim import Slim


class Scales(ChannelPenalty):
    """``lambda * sum |gamma|`` over the scales of all batch-norms.

    Raises
    ------
    WorkbenchError
        If the model has no batch-norm with scales.

    References
    ----------
    Liu et al.: Learning Efficient Convolutional Networks through Network Slimming, 2017 (arXiv 1708.06519).
    """

    usual = 1e-3
    importance = "bn"

    def __init__(self, work: Work, step: Slim, context: Context):
        super().__init__(work, step, context)
        left = {member.parameter for group in self.left for member in group.members if member.role == "scale"}
        norms = [name for name, layer in work.module.named_modules() if isinstance(layer, Norm) and layer.affine]
        self.names = [name for name in (f"{norm}.weight" for norm in norms) if name not in left]
        if not self.names:
            raise WorkbenchError(
                "This model has no batch-norm whose scales could be slimmed.", "Choose 'lasso' or 'growing' instead."
            )

    def __call__(self, module: nn.Module) -> Tensor:
        return self.factor * torch.cat([module.get_parameter(name) for name in self.names]).abs().sum()
