"""Codebooks: many weights that share few values, which training then moves together."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from workbench.constraints import Constraint, parametrized, plain_parameters


class SharedValues(Constraint):
    """Parameters whose equal values stay equal, and whose zeros stay zero.

    Training moves the shared values only: each by the sum of the gradients of all that share it (Han et al. 2016).

    Parameters
    ----------
    names : iterable of str
        Names of parameters; one that the module lacks is passed over.
    """

    def __init__(self, names: Iterable[str]):
        self.names = frozenset(names)

    @contextmanager
    def held(self, module: nn.Module) -> Iterator[None]:
        ways = {name: _Lookup(_value(module, name)) for name in plain_parameters(module) if name in self.names}
        with parametrized(module, dict(ways)):
            yield


def _value(module: nn.Module, name: str) -> Tensor:
    """A parameter as it is used, which other constraints may compute from what is stored."""
    owner, _, parameter = name.rpartition(".")
    return getattr(module.get_submodule(owner), parameter)


class _Lookup(nn.Module):
    """Each weight is what the first of its equals is: that one alone learns, for all of them."""

    def __init__(self, weight: Tensor):
        super().__init__()
        values, index = weight.detach().flatten().unique(return_inverse=True)
        positions = torch.arange(index.numel(), device=index.device)
        first = torch.full_like(values, index.numel(), dtype=torch.long)
        self.register_buffer("first", first.scatter_reduce(0, index, positions, "amin"))
        self.register_buffer("index", index)
        self.register_buffer("alive", (values != 0).to(weight.dtype))
        self.first: Tensor
        self.index: Tensor
        self.alive: Tensor

    def forward(self, weight: Tensor) -> Tensor:
        shared = weight.flatten().index_select(0, self.first) * self.alive
        return shared.index_select(0, self.index).view(weight.shape)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


def codebook(values: np.ndarray, size: int, init: str, seed: int = 0) -> np.ndarray:
    """At most `size` centroids of values, by Lloyd's k-means on the line.

    On the line, a cluster is an interval of the sorted values and its mean a difference of two running sums: a round
    costs ``size * log(len(values))`` instead of ``size * len(values)``, so that it is run until nothing moves.

    Parameters
    ----------
    values : numpy.ndarray
        A vector, not empty.
    size : int
    init : {"linear", "density", "random"}
        Evenly between the extremes; at even quantiles; or values drawn by chance (Forgy).
    seed : int

    Returns
    -------
    numpy.ndarray
        Sorted float64, without those that no value is nearest to.
    """
    ordered = np.sort(values.astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centroids = np.unique(_initial(ordered, size, init, seed))
    while True:
        edges = np.searchsorted(ordered, (centroids[1:] + centroids[:-1]) / 2)
        edges = np.concatenate([[0], edges, [len(ordered)]])
        counts = np.diff(edges)
        moved = np.where(counts > 0, np.diff(sums[edges]) / np.maximum(counts, 1), centroids)
        if np.array_equal(moved, centroids):
            return centroids[counts > 0]
        centroids = np.unique(moved)


def _initial(ordered: np.ndarray, size: int, init: str, seed: int) -> np.ndarray:
    if init == "linear":
        return np.linspace(ordered[0], ordered[-1], size)
    if init == "density":
        return np.quantile(ordered, (np.arange(size) + 0.5) / size)
    distinct = np.unique(ordered)
    return np.random.default_rng(seed).choice(distinct, min(size, len(distinct)), replace=False)


def share(weight: Tensor, size: int, init: str, seed: int = 0) -> Tensor:
    """The weight with each value but zero replaced by the nearest centroid; as it is where it has so few values."""
    flat = weight.detach().cpu().numpy()
    taken = flat[flat != 0]
    if len(np.unique(taken)) <= size:
        return weight.detach().clone()
    centroids = codebook(taken, size, init, seed).astype(flat.dtype)
    out = np.zeros_like(flat)
    out[flat != 0] = centroids[np.searchsorted((centroids[1:] + centroids[:-1]) / 2, taken)]
    return torch.from_numpy(out).to(weight.device)
