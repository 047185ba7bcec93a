"""Channels go first that the batch-norm scales down."""

from torch import nn

from workbench.errors import WorkbenchError
from workbench.pruning.groups import Group
from workbench.pruning.importance.base import Scores, mean_of_sums, weights_of
from workbench.steps.base import Context


def batch_norm(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """``|gamma|`` of the batch-norm.

    Raises
    ------
    WorkbenchError
        If no channels have a batch-norm.

    References
    ----------
    Liu et al.: Learning Efficient Convolutional Networks through Network Slimming, 2017 (arXiv 1708.06519).
    """
    found = [mean_of_sums(group, lambda m: weights_of(module, m).abs(), ("scale",)) for group in groups]
    if all(score is None for score in found):
        raise WorkbenchError(
            "This model has no batch-norm whose scales could rank its channels.", "Choose another importance, as L2."
        )
    return found
