"""LAMP: magnitude, scaled so that layers can be compared."""

from torch import Tensor, nn

from workbench.steps.base import Context


def lamp(module: nn.Module, names: list[str], context: Context) -> dict[str, Tensor]:
    """``w^2 / sum of v^2 over the layer's weights v with |v| >= |w|``.

    Within a layer the order is that of magnitude. Over the whole model, a layer's largest weight scores 1, so that no
    layer is ever emptied.

    References
    ----------
    Lee et al.: Layer-adaptive Sparsity for the Magnitude-based Pruning, 2021 (arXiv 2010.07611).
    """
    return {name: _scores(module.get_parameter(name).detach()) for name in names}


def _scores(weight: Tensor) -> Tensor:
    squares, order = weight.flatten().double().square().sort(stable=True)
    survivors = squares.flip(0).cumsum(0).flip(0)  # of each weight: itself and all that are larger
    scores = squares / survivors.clamp(min=1e-300)
    return scores.new_empty(scores.shape).scatter(0, order, scores).view_as(weight)
