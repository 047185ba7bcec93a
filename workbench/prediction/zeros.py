"""Which single weights a recipe would set to zero: they are put in order once, so that any ratio is a comparison."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from workbench.prediction.scored import KeptScores
from workbench.pruning.n_of_m import inputs, keep_n_of_m
from workbench.pruning.scores import SCORES
from workbench.pruning.squares import pooled, spread
from workbench.pruning.weights import prunable, scores
from workbench.steps import Prune
from workbench.steps.base import Context

Worth = tuple[str, str]
NOWHERE = KeptScores()
LARGEST = 2_000_000  # weights: more aren't put in order, or rounded, in a moment


class Zeros:
    """The weights of a module in the order in which they go, by each importance that was asked for.

    Parameters
    ----------
    module : torch.nn.Module
    context : Context
    kept : KeptScores
        Where scores may be that were found earlier.

    Attributes
    ----------
    few : bool
        Whether they are few enough to be put in order at all.
    """

    def __init__(self, module: nn.Module, context: Context, kept: KeptScores = NOWHERE):
        self._module, self._context, self._keeper = module, context, kept
        self._names = prunable(module)
        self.few = sum(module.get_parameter(name).numel() for name in self._names) <= LARGEST
        self._last: tuple[str | None, dict[str, Tensor]] | None = None
        self._scores: dict[Worth, dict[str, Tensor]] = {}
        self._places: dict[tuple[Worth, int, bool], dict[str, tuple[Tensor, int]]] = {}
        self._neighbours: dict[tuple[Worth, int, int], dict[str, Tensor]] = {}

    def name(self, step: Prune, seed: int) -> str | None:
        """What tells a pruning of single weights from others; None where it takes more than an order to follow."""
        if not self.few or step.target != "none" or step.threshold or (step.layers and step.scope == "global"):
            return None
        own = " ".join(f"{layer}={ratio}" for layer, ratio in sorted(step.layers.items()))
        much = f"{step.n}:{step.m}" if step.granularity == "n:m" else f"{step.ratio} {step.scope} {step.block_size}"
        return " ".join(part for part in (*_worth(step, seed), much, own) if part)

    def kept(self, step: Prune, seed: int) -> dict[str, Tensor]:
        """For each weight, whether it is kept when the step is carried out in a recipe of this seed."""
        key = self.name(step, seed)
        last = self._last
        if last is None or last[0] != key:
            last = self._last = key, self._kept(step, seed)
        return last[1]

    def _kept(self, step: Prune, seed: int) -> dict[str, Tensor]:
        own, worth = {f"{layer}.weight": ratio for layer, ratio in step.layers.items()}, _worth(step, seed)
        if step.granularity == "n:m":
            return {name: kept for name, kept in self._of_neighbours(step, worth).items() if name not in own}
        key = worth, step.block_size, step.scope == "global"
        if key not in self._places:
            squares = pooled(self._scored(worth), step.block_size)
            together = [squares] if step.scope == "global" else [{name: square} for name, square in squares.items()]
            self._places[key] = {name: place for some in together for name, place in _ordered(some).items()}
        places = self._places[key]
        kept = {name: at >= round(own.get(name, step.ratio) * count) for name, (at, count) in places.items()}
        return spread(kept, self._scored(worth), step.block_size)

    def _of_neighbours(self, step: Prune, worth: Worth) -> Mapping[str, Tensor]:
        key = worth, step.n, step.m
        if key not in self._neighbours:
            along = {name: inputs(self._module, name) for name in self._names}
            self._neighbours[key] = {
                name: keep_n_of_m(score, step.n, step.m, along[name])
                for name, score in self._scored(worth).items()
                if score.shape[along[name]] % step.m == 0
            }
        return self._neighbours[key]

    def _scored(self, worth: Worth) -> dict[str, Tensor]:
        if worth not in self._scores:
            importance, seed = worth
            context = replace(self._context, seed=int(seed)) if seed else self._context
            shapes = {name: tuple(self._module.get_parameter(name).shape) for name in self._names}
            self._scores[worth] = self._keeper.of(
                "-".join(("weight", *filter(None, worth))),
                shapes,
                lambda: scores(self._module, self._names, importance, context),
            )
        return self._scores[worth]


def _worth(step: Prune, seed: int) -> Worth:
    """By what weights are put in order: L1 and L2 come to the same, and only chance depends on the seed."""
    same = next(name for name, score in SCORES.items() if score is SCORES[step.importance])
    return same, str(seed) if same == "random" else ""


def _ordered(squares: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, int]]:
    """The place of each among all of these, the least important first, and of how many it is one."""
    flat = torch.cat([square.flatten() for square in squares.values()])
    places = torch.empty(len(flat), dtype=torch.int32)
    places[flat.argsort(stable=True)] = torch.arange(len(flat), dtype=torch.int32)
    parts = places.split([square.numel() for square in squares.values()])
    return {n: (part.view_as(squares[n]), len(flat)) for n, part in zip(squares, parts, strict=True)}
