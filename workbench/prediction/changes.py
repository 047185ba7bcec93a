"""A model changed for a moment as a recipe would change it: in milliseconds, as nothing is cut or calibrated."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from workbench.prediction.outline import Outline
from workbench.prediction.prospect import COSTLY, Prospect
from workbench.pruning.groups import SINGLE
from workbench.quantization.grids import weight_grid
from workbench.quantization.layers import weight_name, weighted
from workbench.sensitivity import BITS
from workbench.steps import Prune

HARMLESS = 8  # bits
Change = tuple[str, Callable[[], AbstractContextManager[None]]]
Part = tuple[str, Callable[[], None]]


class Changes:
    """What recipes without training do to a module, where that is known beforehand.

    Channels that would go are not taken in by the layers that follow, where that comes to the same. Single weights are
    set to zero, and rounded to the nearest values of a grid for each output channel, whatever the recipe's
    own way of rounding is.

    Parameters
    ----------
    module : torch.nn.Module
        The study's, or a copy in another layout; changed only while a change is entered.
    outline : Outline
        Of the study's.
    """

    def __init__(self, module: nn.Module, outline: Outline):
        weights = {parameter: parameter.detach() for parameter in module.parameters()}
        self._parameters = {name: weights[p] for name, p in module.named_parameters(remove_duplicate=False)}
        self._zeros = outline.zeros
        self._layers = set(weighted(module) if self._zeros.few else ())
        self._before: dict[Tensor, Tensor] = {}
        self._touched: set[Tensor] = set()
        self._nearest: dict[tuple[str, int], Tensor] = {}

    def of(self, prospect: Prospect) -> Change | None:
        """What names a recipe's change, "" where there is none, and what enters it; None where it isn't known."""
        if prospect.fresh or prospect.student or prospect.shared is not None:
            return None
        steps = [step for step in prospect.steps if isinstance(step, Prune)]
        zeroing, cutting = ([s for s in steps if (s.granularity in SINGLE) is single] for single in (True, False))
        bits = {name: width for name, width in prospect.bits.items() if width < HARMLESS}
        parts: list[Part | None] = [self._zeroed(step, prospect.seed) for step in zeroing]
        parts += [self._roundings(bits)] if bits else []
        parts += [self._cut(step, prospect) for step in cutting]
        if len(zeroing) > 1 or len(cutting) > 1 or None in parts:
            return None
        known = [part for part in parts if part is not None]

        @contextmanager
        def entered() -> Iterator[None]:
            try:
                for _, change in known:
                    change()
                yield
            finally:
                while self._touched:
                    weight = self._touched.pop()
                    weight.copy_(self._before[weight])

        return " | ".join(name for name, _ in known), entered

    def _touch(self, name: str) -> Tensor:
        """A parameter that may be changed, and will be as before afterwards."""
        weight = self._parameters[name]
        if weight not in self._before:
            self._before[weight] = weight.clone()
        self._touched.add(weight)
        return weight

    def _zeroed(self, step: Prune, seed: int) -> Part | None:
        name = self._zeros.name(step, seed)
        if name is None:
            return None

        def change() -> None:
            for key, kept in self._zeros.kept(step, seed).items():
                self._touch(key).mul_(kept)

        return name, change

    def _roundings(self, bits: dict[str, int]) -> Part | None:
        if not bits.keys() <= self._layers or not set(bits.values()) <= set(BITS):
            return None

        def change() -> None:
            for layer, width in bits.items():
                now = self._touch(weight_name(layer))
                now.copy_(torch.where(now == 0, now, self._rounded(layer, width)))  # zeros stay zeros

        return " ".join(f"{layer}:{width}" for layer, width in sorted(bits.items())), change

    def _rounded(self, layer: str, bits: int) -> Tensor:
        """A layer's weights on their grid, laid out as they are; this takes a while: not before it is asked for."""
        if (layer, bits) not in self._nearest:
            weight = self._before[self._parameters[weight_name(layer)]]
            exact = weight.float().contiguous()
            self._nearest[layer, bits] = torch.empty_like(weight).copy_(weight_grid(exact, bits).nearest(exact))
        return self._nearest[layer, bits]

    def _cut(self, step: Prune, prospect: Prospect) -> Part | None:
        if step.granularity not in ("channel", "mlp") or step.importance in COSTLY:
            return None
        structure = prospect.outline.structure(step.granularity, step.importance)
        if structure is None or step.scope == "latency" or not all(group.masked for group in structure.groups):
            return None
        scores = prospect.outline.scores(structure, prospect.seed)
        chance = f" of {prospect.seed}" if step.importance == "random" else ""

        def change() -> None:
            for group, score in zip(structure.groups, scores, strict=True):
                if gone := group.units - prospect.cut["channel", group.name]:
                    units = score.argsort(stable=True)[:gone]
                    for member in group.members:
                        if member.role == "in":
                            self._touch(member.parameter).index_fill_(member.dim, member.index[units].flatten(), 0.0)

        left = " ".join(f"{name}={kept}" for (_, name), kept in sorted(prospect.cut.items()))
        return f"{step.importance}{chance} {left}", change
