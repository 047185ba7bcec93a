"""GPTQ: round column after column, and let the columns to come make up for the error."""

import torch
from torch import Tensor

from workbench.quantization.grid import Grid

DAMPING = 0.01  # of the mean diagonal, as in the paper


@torch.no_grad()
def gptq(weight: Tensor, grid: Grid, moments: Tensor) -> Tensor:
    r"""A weight on its grid with little error in the layer's output.

    With :math:`H = X X^T` and :math:`U` the upper Cholesky factor of its inverse, each column q in turn is rounded and
    its error is taken out of those that follow:

    .. math:: w_{:,q+1:} \leftarrow w_{:,q+1:} - \frac{w_{:,q} - \mathrm{round}(w_{:,q})}{U_{qq}} \, U_{q,q+1:}

    Inputs of large second moment come first, as they have most to lose.

    Parameters
    ----------
    weight : torch.Tensor
        Shape (outputs, inputs).
    grid : Grid
    moments : torch.Tensor
        The mean of x x^T over the layer's inputs, shape (inputs, inputs).

    References
    ----------
    Frantar et al.: GPTQ, 2023 (arXiv 2210.17323), algorithm 1.
    """
    moments = moments.to(torch.float64)
    diagonal = moments.diagonal()
    order = diagonal.argsort(descending=True, stable=True)
    damped = moments + torch.eye(len(moments)) * max(float(diagonal.mean()) * DAMPING, 1e-12)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped[order][:, order]))
    upper = torch.linalg.cholesky(inverse, upper=True).to(torch.float32)
    scale = grid.spread(weight).expand_as(weight)[:, order]
    left = weight[:, order].clone()
    codes = torch.empty_like(left)
    for column in range(left.shape[1]):
        codes[:, column] = grid.round(left[:, column] / scale[:, column])
        error = (left[:, column] - codes[:, column] * scale[:, column]) / upper[column, column]
        left[:, column + 1 :] -= error[:, None] * upper[column, column + 1 :]
    return grid.values(codes[:, order.argsort()])
