"""Units go first without which the loss changes least, to second order."""

from torch import nn

from workbench.pruning.gradients import mean_squared_gradients
from workbench.pruning.groups import Group
from workbench.pruning.importance.base import Scores, mean_of_sums, weights_of
from workbench.steps.base import Context


def hessian(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """The mean over the unit's weights' tensors of ``sum h w^2 / 2``: optimal brain damage.

    h is the Hessian's diagonal, taken as the mean of the squared gradients of single samples (the Fisher information).

    References
    ----------
    LeCun, Denker, Solla: Optimal Brain Damage, NIPS 1989. Theis et al.: Faster gaze prediction with dense networks
    and Fisher pruning, 2018 (arXiv 1801.05787), for the Fisher information and whole channels.
    """
    names = sorted({member.parameter for group in groups for member in group.members})
    squares = mean_squared_gradients(module, names, context.dataset)
    return [
        mean_of_sums(g, lambda m: weights_of(module, m).square() * m.rows(squares[m.parameter]) / 2) for g in groups
    ]
