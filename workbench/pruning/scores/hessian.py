"""Optimal brain damage: weights whose removal changes the loss least, to second order."""

from torch import Tensor, nn

from workbench.pruning.gradients import mean_squared_gradients
from workbench.steps.base import Context


def hessian(module: nn.Module, names: list[str], context: Context) -> dict[str, Tensor]:
    """``h w^2 / 2``, with h the diagonal of the loss's Hessian.

    At a minimum the Hessian is the Fisher information; its diagonal is taken as the mean of the squared gradients of
    single calibration samples.

    References
    ----------
    LeCun, Denker, Solla: Optimal Brain Damage, NIPS 1989. Theis et al.: Faster gaze prediction with dense networks
    and Fisher pruning, 2018 (arXiv 1801.05787), for the Fisher information in its place.
    """
    squares = mean_squared_gradients(module, names, context.dataset)
    return {name: squares[name] * module.get_parameter(name).detach() ** 2 / 2 for name in names}
