"""Single weights set to zero, and kept there."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from workbench.constraints import KeepZeros
from workbench.errors import WorkbenchError, nearest
from workbench.pruning.scores import SCORES, Scores
from workbench.pruning.squares import pooled, spread
from workbench.pruning.targets import reach
from workbench.steps.base import Context, Work
from workbench.steps.prune import Prune

NO_SPEED = (
    "Zeros are computed like any other number, so they make the model no faster; only a packed file (Pack) stores "
    "them in less."
)


def prune_weights(work: Work, step: Prune, context: Context) -> None:
    """Zero the least important weights of every convolution and linear layer; biases stay.

    The ratio counts zeros that are there already, so that pruning twice by the same ratio changes nothing more. With
    a threshold, the ratio counts for those layers only that have one of their own; with a target it is found. Squares
    of weights stay or go together, by the mean of what they are worth.

    Raises
    ------
    WorkbenchError
        If nothing of a layer would be left, or the model has none.
    """
    names = prunable(work.module)
    own = own_ratios(step.layers, names)
    found = scores(work.module, names, step.importance, context)
    squares = pooled(found, step.block_size)

    def keep(ratio: float) -> dict[str, Tensor]:
        return spread(Goal(ratio, step.scope, own).keep(squares), found, step.block_size)

    def at(ratio: float) -> Zeroed:
        return Zeroed.of(work.module, keep(ratio), ratio)

    if step.target != "none":
        reached, told = reach(at, work, step, context)
        set_zeros(work, reached.kept)
        work.notes.append(told)
        return
    kept = keep(step.ratio)
    if step.threshold:
        sizes = pooled({name: work.module.get_parameter(name).detach().abs() for name in names}, step.block_size)
        large = spread({name: size >= step.threshold for name, size in sizes.items()}, found, step.block_size)
        kept = {name: kept[name] if name in own else large[name] for name in names}
    set_zeros(work, kept)


@dataclass
class Zeroed:
    """A copy of a module without some of its weights."""

    module: nn.Module
    kept: dict[str, Tensor]
    key: str

    @classmethod
    def of(cls, module: nn.Module, kept: dict[str, Tensor], ratio: float) -> "Zeroed":
        """The module with zeros where nothing is kept."""
        module = copy.deepcopy(module)
        with torch.no_grad():
            for name, keep in kept.items():
                module.get_parameter(name).mul_(keep)
        return cls(module, kept, repr(ratio))


def prunable(module: nn.Module) -> list[str]:
    """The names of the weights of all convolutions and linear layers."""
    layers = [n for n, m in module.named_modules() if isinstance(m, (nn.Linear, nn.modules.conv._ConvNd))]
    if not layers:
        raise WorkbenchError("This model has no convolution and no linear layer to prune.", "Remove this step.")
    return [f"{name}.weight" if name else "weight" for name in layers]


def own_ratios(layers: dict[str, float], names: list[str]) -> dict[str, float]:
    """The table of single layers' ratios, by the names of their weights."""
    own = {f"{layer}.weight": ratio for layer, ratio in layers.items()}
    for name in own.keys() - set(names):
        known = [known.removesuffix(".weight") for known in names]
        layer = name.removesuffix(".weight")
        raise WorkbenchError(f"This model has no layer '{layer}' to prune.", nearest(layer, known))
    return own


def scores(module: nn.Module, names: list[str], importance: str, context: Context) -> Scores:
    """What each weight is worth; what is zero already is worth less than anything else."""
    found = SCORES[importance](module, names, context)
    return {
        name: score.clamp(min=torch.finfo(score.dtype).tiny) * (module.get_parameter(name).detach() != 0)
        for name, score in found.items()
    }


@dataclass(frozen=True)
class Goal:
    """How many weights are to be zero.

    Attributes
    ----------
    ratio : float
        The share.
    scope : {"layer", "global"}
        Whether it is a share of every layer, or of all weights together.
    own : dict of str to float
        Weights, by name, that have a share of their own.
    """

    ratio: float
    scope: str = "layer"
    own: dict[str, float] = field(default_factory=dict)

    def at(self, share: Callable[[float], float]) -> "Goal":
        """A goal on the way: each ratio put through `share`."""
        return replace(self, ratio=share(self.ratio), own={name: share(ratio) for name, ratio in self.own.items()})

    def keep(self, scores: Scores) -> dict[str, Tensor]:
        """For each weight, whether it is kept: exactly the share with the lowest scores is not."""
        rest = {name: score for name, score in scores.items() if name not in self.own}
        groups = [(rest, self.ratio)] if self.scope == "global" else [({n: s}, self.ratio) for n, s in rest.items()]
        groups += [({name: scores[name]}, ratio) for name, ratio in self.own.items()]
        kept: dict[str, Tensor] = {}
        for group, ratio in groups:
            kept |= _all_but_lowest(group, ratio)
        return {name: kept[name] for name in scores}


def _all_but_lowest(scores: Scores, ratio: float) -> dict[str, Tensor]:
    flat = torch.cat([score.flatten() for score in scores.values()] or [torch.empty(0)])
    kept = torch.ones_like(flat, dtype=torch.bool)
    kept[flat.argsort(stable=True)[: round(ratio * len(flat))]] = False
    parts = kept.split([score.numel() for score in scores.values()])
    return {name: part.view_as(scores[name]) for name, part in zip(scores, parts, strict=True)}


def set_zeros(work: Work, kept: dict[str, Tensor], note: str = NO_SPEED) -> None:
    """Zero what is not kept, for good: no later training brings it back; and note once what zeros are worth."""
    weights = {name: work.module.get_parameter(name) for name in kept}
    refuse_empty(weights, kept)
    with torch.no_grad():
        for name, weight in weights.items():
            weight.mul_(kept[name])
    for constraint in work.constraints.values():
        constraint.zeroed(work.module)
    work.constraints["zeros"] = KeepZeros(prunable(work.module))
    if note not in work.notes:
        work.notes.append(note)


def refuse_empty(weights: Mapping[str, Tensor], kept: dict[str, Tensor]) -> None:
    """Raise `WorkbenchError` if nothing of a layer would be left."""
    empty = [name for name, weight in weights.items() if weight.any() and not weight[kept[name]].any()]
    if empty:
        layers = ", ".join(name.removesuffix(".weight") for name in empty)
        raise WorkbenchError(
            f"This would set every weight of {layers} to zero, and nothing would get through.",
            "Lower the ratio or the threshold, prune by layer, or give these layers a ratio of their own.",
        )
