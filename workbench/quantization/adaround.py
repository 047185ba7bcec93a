"""AdaRound: learn for each weight whether to round it up or down."""

import torch
from torch import Tensor

from workbench.quantization.grid import Grid

STEPS, RATE, PULL = 400, 0.02, 0.1
LOW, HIGH = -0.1, 1.1  # the rectified sigmoid is stretched to these, and clipped to [0, 1]


def adaround(weight: Tensor, grid: Grid, moments: Tensor) -> Tensor:
    r"""A weight on its grid, rounded up or down so that the layer's output changes least.

    Minimizes over V, by Adam, with :math:`h(V) = \mathrm{clip}(1.2 \, \sigma(V) - 0.1, 0, 1)` and
    :math:`\tilde W = s \, \mathrm{clip}(\lfloor W / s \rfloor + h(V), n, p)`,

    .. math:: \lVert W x - \tilde W x \rVert^2 + \lambda \sum \left( 1 - |2 h(V) - 1|^\beta \right)

    where :math:`\beta` falls from 20 to 2, and the pull towards 0 or 1 sets in after a fifth of the steps. The output's
    error is taken in expectation, from the second moments of the layer's inputs.

    Parameters
    ----------
    weight : torch.Tensor
        Shape (outputs, inputs).
    grid : Grid
    moments : torch.Tensor
        The mean of x x^T over the layer's inputs, shape (inputs, inputs).

    References
    ----------
    Nagel et al.: Up or Down? Adaptive Rounding for Post-Training Quantization, 2020 (arXiv 2004.10568).
    """
    weight = weight.detach()
    if grid.bits == 1:
        return grid.nearest(weight)  # up or down is the other sign: there is nothing in between
    scale = grid.spread(weight)
    floor = torch.floor(weight / scale)
    share = (weight / scale - floor - LOW) / (HIGH - LOW)
    chosen = torch.logit(share).requires_grad_()
    optimizer = torch.optim.Adam([chosen], lr=RATE)
    moments = moments / moments.diagonal().mean().clamp(min=1e-12)
    size = float((scale.expand_as(weight) ** 2).mean()) * weight.numel()

    for step in range(STEPS):
        up = _up(chosen)
        error = weight - torch.clamp(floor + up, grid.low, grid.high) * scale
        loss = ((error @ moments) * error).sum() / size
        if step > 0.2 * STEPS:
            beta = 20 - 18 * (step / STEPS - 0.2) / 0.8
            loss = loss + PULL * (1 - (2 * up - 1).abs().clamp(min=1e-6) ** beta).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        codes = torch.clamp(floor + (_up(chosen) >= 0.5), grid.low, grid.high)
        learned, plain = grid.values(codes), grid.nearest(weight)
        better = _error(weight - learned, moments) < _error(weight - plain, moments)
        return torch.where(better[:, None], learned, plain)


def _up(chosen: Tensor) -> Tensor:
    return torch.clamp(torch.sigmoid(chosen) * (HIGH - LOW) + LOW, 0, 1)


def _error(difference: Tensor, moments: Tensor) -> Tensor:
    """The expected squared error of each output."""
    return ((difference @ moments) * difference).sum(1)
