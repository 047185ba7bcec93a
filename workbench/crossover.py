"""From how many zeros on a sparse product beats the dense one: measured on this machine, for each shape of a layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from workbench.estimates import Estimate
from workbench.latency import paired, processor_clock, wall_clock
from workbench.pruning.squares import pooled, spread
from workbench.pruning.weights import Goal
from workbench.sparse_layers import SparseConv, SparseLinear
from workbench.threads import threads as with_threads

if TYPE_CHECKING:
    from workbench.questions import Answer

SHARES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)  # of zeros
SECONDS = 0.5  # for each share


@dataclass(frozen=True)
class Shape:
    """A layer and what flows into it.

    Attributes
    ----------
    weight : tuple of int
    taken : tuple of int
        Shape of the input of one sample.
    stride, padding, dilation : tuple of int
        Of a convolution.
    block : int
        Rows and columns of the blocks that its zeros come in (BSR); 1 for single zeros (CSR).
    """

    weight: tuple[int, ...]
    taken: tuple[int, ...]
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    block: int = 1

    def __str__(self) -> str:
        kind = "convolution" if len(self.weight) == 4 else "linear layer"
        blocks = f" with zeros in blocks of {self.block}x{self.block}" if self.block > 1 else ""
        return f"a {'x'.join(map(str, self.weight))} {kind} on {'x'.join(map(str, self.taken))}{blocks}"


@dataclass(frozen=True)
class Crossover:
    """Where a sparse product begins to pay.

    Attributes
    ----------
    shape : Shape
    threads, batch : int
    points : tuple of (float, Estimate)
        Share of zeros, and how many times faster than dense the sparse product is there; as far as it was measured.
    """

    shape: Shape
    threads: int
    batch: int
    points: tuple[tuple[float, Estimate], ...]

    @property
    def share(self) -> float | None:
        """The least measured share of zeros from which on sparse is faster for certain; None if it never was."""
        found = None
        for share, speedup in sorted(self.points, reverse=True):
            if speedup.low <= 1:
                break
            found = share
        return found

    def at(self, zeros: float) -> float:
        """How many times faster it was found with so many zeros, or the next fewer measured; 0 if there were none."""
        return max(((share, e.value) for share, e in self.points if share <= zeros), default=(0.0, 0.0))[1]

    def pays(self, zeros: float) -> bool:
        """Whether sparse is used for a layer with such a share of zeros."""
        return self.share is not None and zeros >= self.share

    def sentence(self) -> str:
        """From where on it pays here, and the figures."""
        told = ", ".join(f"{s:.0%}: {e.value:.2f}x [{e.low:.2f}, {e.high:.2f}]" for s, e in sorted(self.points))
        most, found = max(share for share, _ in self.points), self.share
        where = (
            f"pays from {found:.0%} zeros on" if found is not None else f"was not found to pay up to {most:.0%} zeros"
        )
        setting = f"batch {self.batch}, {self.threads} thread{'s' * (self.threads > 1)}"
        return f"On this machine, for {self.shape} ({setting}), sparse computation {where} ({told})."

    def row(self) -> dict[str, str]:
        """The shape, from where on it pays, and how many times faster it is with each share of zeros."""
        pays = "never" if self.share is None else f"{self.share:.0%}"
        return {
            "layer": str(self.shape).removeprefix("a "),
            "pays from": pays,
            **{f"{share:.0%}": f"{e.value:.2f}x" for share, e in sorted(self.points)},
        }


def answer(found: "Sequence[Crossover]") -> "Answer":
    """As a page shows it: for how many shapes it pays, and a row for each."""
    from workbench.questions import Answer

    if not found:
        return Answer(["No layer of this model can be computed sparsely: none is linear or a plain convolution."], [])
    paying = [one.share for one in found if one.share is not None]
    most = max(share for one in found for share, _ in one.points)
    if not paying:
        told = f"Here zeros pay for no shape of layer, up to {most:.0%} of them."
    else:
        shapes = f"{len(paying)} of {len(found)} shapes of layers"
        told = f"Here zeros pay for {shapes}, at the earliest from {min(paying):.0%}."
    return Answer([told], [one.row() for one in found])


@cache
def crossover(shape: Shape, threads: int = 1, batch: int = 1, whole: bool = False) -> Crossover:
    """Measure it, by bisection, or at every share; kept for as long as the process lives.

    On one thread it goes by processor time, which other programs disturb less.

    Parameters
    ----------
    shape : Shape
    threads, batch : int
    whole : bool
        Measure the whole curve, not only what tells where it crosses.
    """
    found: dict[float, Estimate] = {}
    with with_threads(threads), torch.inference_mode():
        if whole:
            found = {share: _speedup(shape, threads, batch, share) for share in SHARES}
        else:
            low, high = 0, len(SHARES) - 1
            while low <= high:
                middle = (low + high) // 2
                found[SHARES[middle]] = speedup = _speedup(shape, threads, batch, SHARES[middle])
                low, high = (low, middle - 1) if speedup.low > 1 else (middle + 1, high)
    return Crossover(shape, threads, batch, tuple(sorted(found.items())))


def _speedup(shape: Shape, threads: int, batch: int, zeros: float) -> Estimate:
    """Dense time over sparse time of the layer with random weights, so many of them zero."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape.weight, generator=generator)
    chance = {"weight": torch.rand(shape.weight, generator=generator)}
    kept = spread(Goal(zeros).keep(pooled(chance, shape.block)), chance, shape.block)
    weight *= kept["weight"]
    inputs = torch.randn((batch, *shape.taken), generator=generator)
    dense: Callable[[torch.Tensor], torch.Tensor]
    sparse: nn.Module
    if len(shape.weight) == 4:
        how = shape.stride, shape.padding, shape.dilation
        dense, sparse = partial(_convolved, weight, how), SparseConv(weight, None, *how, block=shape.block)
    else:
        dense, sparse = partial(_multiplied, weight), SparseLinear(weight, block=shape.block)
    clock = processor_clock if threads == 1 else wall_clock
    return paired(lambda: dense(inputs), lambda: sparse(inputs), seconds=SECONDS, clock=clock).speedup


def _multiplied(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return nn.functional.linear(x, weight)


def _convolved(weight: torch.Tensor, how: tuple, x: torch.Tensor) -> torch.Tensor:
    return nn.functional.conv2d(x, weight, None, *how)
