"""What can be removed together: groups of channels, heads or blocks, and every weight that goes with each of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Edit = dict[str, Any]
SINGLE = ("weight", "n:m")  # granularities of which nothing is removed: weights become zero
MOST = 0.95  # of one group's units, whatever the scope says


@dataclass(frozen=True)
class Member:
    """A weight that loses slices when units go.

    Attributes
    ----------
    role : {"out", "in", "scale", "norm"}
        Whether the weight computes the units, takes them in, or scales them (batch-norm, or another norm).
    layer, parameter : str
        Names in the module.
    dim : int
        Along which dimension of the weight they lie.
    index : torch.Tensor
        Positions along that dimension, shape (units, positions of each).
    channels : torch.Tensor
        Positions among the channels that the layer computes or takes in, of the same shape.
    """

    role: str
    layer: str
    parameter: str
    dim: int
    index: Tensor
    channels: Tensor

    def rows(self, tensor: Tensor) -> Tensor:
        """The slices of the weight, or of anything of its shape: (units, numbers of each)."""
        return tensor.detach().movedim(self.dim, 0)[self.index].flatten(1)


@dataclass
class Group:
    """Units of which any can be removed and the others stay.

    Attributes
    ----------
    name : str
        The layer or module that stands for the group.
    layers : tuple of str
        All that compute its units: for channels of a residual stream, every layer that writes to it.
    units : int
    members : list of Member
    shape : tuple
        Equal for groups of one kind (isomorphic).
    least : int
        So many units stay in any case.
    """

    name: str
    layers: tuple[str, ...]
    units: int
    members: list[Member] = field(default_factory=list)
    shape: tuple = ()
    least: int = 1

    @property
    def masked(self) -> bool:
        """Whether not taking units in comes to the same as removing them: not where a norm goes over all of them."""
        return all(member.role != "norm" for member in self.members)

    def edit(self, units: list[int]) -> Edit:
        """The structural edit that removes these units, as plain data."""
        raise NotImplementedError  # abstract

    @contextmanager
    def without(self, module: nn.Module, *units: int) -> Iterator[None]:
        """The module as if these units were gone: nothing downstream takes them in."""
        saved = []
        with torch.no_grad():
            for member in self.members:
                if member.role == "in":
                    weight = module.get_parameter(member.parameter)
                    positions = member.index[list(units)].flatten()
                    saved.append((weight, member.dim, positions, weight.index_select(member.dim, positions)))
                    weight.index_fill_(member.dim, positions, 0.0)
            try:
                yield
            finally:
                for weight, dim, positions, before in saved:
                    weight.index_copy_(dim, positions, before)


def least(units: int) -> int:
    """How many of so many units stay in any case: a twentieth, and never none."""
    return max(1, int(units * (1 - MOST) + 1e-9))
