"""Units go first without which the loss changes least, to first order."""

from torch import Tensor, nn

from workbench.pruning.gradients import accumulate_gradients
from workbench.pruning.groups import Group, Member
from workbench.pruning.importance.base import Scores, mean_of_sums, weights_of
from workbench.steps.base import Context


def taylor(groups: list[Group], module: nn.Module, context: Context) -> Scores:
    """The mean over the unit's weights' tensors of ``sum |w g|``, g the gradient of the loss.

    References
    ----------
    Molchanov et al.: Importance Estimation for Neural Network Pruning, 2019 (arXiv 1906.10771).
    """
    accumulate_gradients(module, context.dataset)

    def rows(member: Member) -> Tensor:
        gradient = module.get_parameter(member.parameter).grad
        weights = weights_of(module, member)
        return weights * 0 if gradient is None else (weights * member.rows(gradient)).abs()

    found = [mean_of_sums(group, rows) for group in groups]
    module.zero_grad()
    return found
