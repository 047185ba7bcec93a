"""A model changed for a moment as a recipe would change it: in milliseconds, as nothing is cut or calibrated."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import torch
from torch import Tensor, nn

from workbench.prediction.outline import Outline
from workbench.prediction.prospect import COSTLY, Prospect
from workbench.pruning.groups import SINGLE
from workbench.pruning.weights import prunable
from workbench.quantization.grids import weight_grid
from workbench.quantization.layers import weight_name, weighted
from workbench.sensitivity import BITS
from workbench.steps import Prune

HARMLESS = 8  # bits
Change = tuple[str, Callable[[], AbstractContextManager[None]]]


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
        self._module, self._parameters = module, dict(module.named_parameters())
        self._weights = {name: self._parameters[name] for name in prunable(module)}
        self._zeros = outline.zeros
        layers = weighted(module) if self._zeros.few else {}
        self._unchanged = {name: layer.weight.detach().float().clone() for name, layer in layers.items()}
        self._nearest: dict[tuple[str, int], Tensor] = {}

    def of(self, prospect: Prospect) -> Change | None:
        """What names a recipe's change, "" where there is none, and what enters it; None where it isn't known."""
        if prospect.fresh or prospect.student or prospect.shared is not None:
            return None
        steps = [step for step in prospect.steps if isinstance(step, Prune)]
        zeroing, cutting = ([s for s in steps if (s.granularity in SINGLE) is single] for single in (True, False))
        bits = {name: width for name, width in prospect.bits.items() if width < HARMLESS}
        parts: list[Change | None] = [self._zeroed(step, prospect.seed) for step in zeroing]
        parts += [self._roundings(bits)] if bits else []
        parts += [self._cut(step, prospect) for step in cutting]
        if len(zeroing) > 1 or len(cutting) > 1 or None in parts:
            return None
        known = [part for part in parts if part is not None]

        @contextmanager
        def entered() -> Iterator[None]:
            with ExitStack() as stack:
                for _, enter in known:
                    stack.enter_context(enter())
                yield

        return " | ".join(name for name, _ in known), entered

    def _zeroed(self, step: Prune, seed: int) -> Change | None:
        name = self._zeros.name(step, seed)
        if name is None:
            return None

        def enter() -> AbstractContextManager[None]:
            return self._with({key: self._weights[key] * kept for key, kept in self._zeros.kept(step, seed).items()})

        return name, enter

    def _roundings(self, bits: dict[str, int]) -> Change | None:
        if not bits.keys() <= self._unchanged.keys() or not set(bits.values()) <= set(BITS):
            return None

        def enter() -> AbstractContextManager[None]:
            now = {layer: self._parameters[weight_name(layer)] for layer in bits}  # zeros stay zeros
            return self._with(
                {weight_name(n): torch.where(now[n] == 0, now[n], self._rounded(n, width)) for n, width in bits.items()}
            )

        return " ".join(f"{layer}:{width}" for layer, width in sorted(bits.items())), enter

    def _rounded(self, layer: str, bits: int) -> Tensor:
        """A layer's weights on their grid, which takes a while to find: not before it is asked for."""
        if (layer, bits) not in self._nearest:
            weight = self._unchanged[layer]
            self._nearest[layer, bits] = weight_grid(weight, bits).nearest(weight)
        return self._nearest[layer, bits]

    def _cut(self, step: Prune, prospect: Prospect) -> Change | None:
        if step.granularity not in ("channel", "mlp") or step.importance in COSTLY:
            return None
        structure = prospect.outline.structure(step.granularity, step.importance)
        if structure is None or step.scope == "latency" or not all(group.masked for group in structure.groups):
            return None

        scores = prospect.outline.scores(structure, prospect.seed)
        chance = f" of {prospect.seed}" if step.importance == "random" else ""

        @contextmanager
        def enter() -> Iterator[None]:
            with ExitStack() as stack:
                for group, score in zip(structure.groups, scores, strict=True):
                    if gone := group.units - prospect.cut["channel", group.name]:
                        stack.enter_context(group.without(self._module, *score.argsort(stable=True)[:gone].tolist()))
                yield

        left = " ".join(f"{name}={kept}" for (_, name), kept in sorted(prospect.cut.items()))
        return f"{step.importance}{chance} {left}", enter

    @contextmanager
    def _with(self, weights: dict[str, Tensor]) -> Iterator[None]:
        """Other weights, for a while."""
        before = {name: self._parameters[name].detach().clone() for name in weights}
        with torch.no_grad():
            for name, weight in weights.items():
                self._parameters[name].copy_(weight)
            try:
                yield
            finally:
                for name, weight in before.items():
                    self._parameters[name].copy_(weight)
