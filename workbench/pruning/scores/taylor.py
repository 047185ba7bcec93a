"""First-order Taylor: weights whose removal changes the loss least, to first order."""

from torch import Tensor, nn

from workbench.pruning.gradients import accumulate_gradients
from workbench.steps.base import Context


def taylor(module: nn.Module, names: list[str], context: Context) -> dict[str, Tensor]:
    """``|w g|``, with g the gradient of the loss over the calibration samples.

    References
    ----------
    Molchanov et al.: Importance Estimation for Neural Network Pruning, 2019 (arXiv 1906.10771).
    """
    accumulate_gradients(module, context.dataset)
    weights = {name: module.get_parameter(name) for name in names}
    scores = {
        name: weight.detach().abs() * (0 if weight.grad is None else weight.grad.abs())
        for name, weight in weights.items()
    }
    module.zero_grad()
    return scores
