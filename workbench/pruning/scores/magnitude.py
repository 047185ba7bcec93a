"""Magnitude: small weights go first."""

from torch import Tensor, nn

from workbench.steps.base import Context


def magnitude(module: nn.Module, names: list[str], context: Context) -> dict[str, Tensor]:
    """``|w|``.

    References
    ----------
    Han et al.: Learning both Weights and Connections for Efficient Neural Networks, 2015 (arXiv 1506.02626).
    """
    return {name: module.get_parameter(name).detach().abs() for name in names}
