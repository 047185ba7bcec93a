"""Single weights judged and zeroed in squares, as block-sparse kernels take them."""

from torch import Tensor
from torch.nn import functional as F


def pooled(weights: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    """The mean of every square of each weight.

    A weight of any dimensions counts as a matrix, of as many rows as its first dimension. Where the size doesn't divide
    it, the squares at its edges are smaller.

    Parameters
    ----------
    weights : dict of str to Tensor
        Floats, shape (rows, ...).
    size : int
        Rows and columns of a square.

    Returns
    -------
    dict of str to Tensor
        Shape (squares down, squares across).

    References
    ----------
    Narang, Undersander, Diamos: Block-Sparse Recurrent Neural Networks, 2017 (arXiv 1711.02782).
    """
    if size == 1:
        return {name: weight.flatten(1) for name, weight in weights.items()}
    return {
        name: F.avg_pool2d(weight.flatten(1)[None, None].float(), size, ceil_mode=True, count_include_pad=False)[0, 0]
        for name, weight in weights.items()
    }


def spread(squares: dict[str, Tensor], weights: dict[str, Tensor], size: int) -> dict[str, Tensor]:
    """What holds for each square, for each weight in it: the shapes of `weights`."""
    if size == 1:
        return {name: square.reshape(weights[name].shape) for name, square in squares.items()}
    told = {}
    for name, square in squares.items():
        rows, columns = weights[name].flatten(1).shape
        wide = square.repeat_interleave(size, 0).repeat_interleave(size, 1)
        told[name] = wide[:rows, :columns].reshape(weights[name].shape)
    return told


def empty_share(weight: Tensor, size: int) -> float:
    """The share of all squares that hold nothing but zeros; 0 where the size doesn't divide the matrix."""
    rows, columns = weight.flatten(1).shape
    if rows % size or columns % size:
        return 0.0
    full = F.max_pool2d((weight != 0).flatten(1)[None, None].float(), size)
    return float((full == 0).float().mean())


def size_of(weight: Tensor, sizes: tuple[int, ...] = (32, 16, 8, 4)) -> int:
    """The largest size of squares that nearly all zeros (98 %) come in; 1 where they come singly."""
    zeros = float((weight == 0).float().mean())
    return next((size for size in sizes if zeros and empty_share(weight, size) >= 0.98 * zeros), 1)
