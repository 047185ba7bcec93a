"""A model as arithmetic: which sizes of which weights hang on which units, so that a cut's outcome needs no cut."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.macs import count_macs, weight_uses
from workbench.prediction.coded import Coded
from workbench.prediction.scored import KeptScores
from workbench.prediction.zeros import Zeros
from workbench.pruning.groups import Group
from workbench.pruning.importance import IMPORTANCES, Scores
from workbench.pruning.structured import Structure
from workbench.steps.base import Context, Work
from workbench.steps.prune import Prune

Cut = Mapping[tuple[str, str], int]
"""Units that are left, by what they are (channel, head, block) and the group's name; a group left out is whole."""
REMEMBERED = 1000  # sizes
PLAIN = "l2"  # an importance that ranks whatever there is


@dataclass(frozen=True)
class LayerSize:
    """One convolution or linear layer after a cut.

    Attributes
    ----------
    name : str
    outputs, inputs : int
        Channels, or features; inputs of one group of a grouped convolution.
    kernel : int
        Weights for each pair of channels.
    positions : int
        Places of the output that each weight is used at, for one sample.
    """

    name: str
    outputs: int
    inputs: int
    kernel: int
    positions: int

    @property
    def weights(self) -> int:
        """Weights, biases left out."""
        return self.outputs * self.inputs * self.kernel

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one sample."""
        return self.weights * self.positions


@dataclass(frozen=True)
class Size:
    """What a cut leaves: exact counts."""

    parameters: int
    macs: int
    layers: tuple[LayerSize, ...]

    @property
    def weights(self) -> int:
        """Weights of convolutions and linear layers."""
        return sum(layer.weights for layer in self.layers)

    @property
    def channels(self) -> int:
        """Output channels of all layers."""
        return sum(layer.outputs for layer in self.layers)


class Outline:
    """The prunable groups of a model and what hangs on each.

    The dependency graph is walked once for each kind of unit; groups whose cut would break the model are left out, as
    they are when it is pruned.

    Parameters
    ----------
    module : torch.nn.Module
        Unpruned, in evaluation mode; it stays as it is.
    context : Context
    folder : pathlib.Path, optional
        Where scores that took a while are kept.
    """

    def __init__(self, module: nn.Module, context: Context, folder: Path | None = None):
        self.module, self.context, self._kept = module, context, KeptScores(folder, context.dataset.seed)
        example = context.dataset.prepare(context.dataset.calibration.inputs[:1])
        self.shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
        self.statistics = sum(b.numel() for b in module.buffers() if b.is_floating_point())
        """Numbers that are no parameters, as those of batch-norms; a packed file has them too."""
        self.uses = weight_uses(module, example)
        self.layers = list(self.uses)
        total = count_macs(module, example)
        self.rest = total - sum(math.prod(self.shapes[_weight(n)]) * uses for n, uses in self.uses.items())
        """Multiply-accumulates outside of layers, as those of attention."""
        self._structures: dict[tuple[str, str], Structure | None] = {}
        self._touching: dict[tuple[str, str], list[tuple[str, int, int]]] = {}
        self._units: dict[tuple[str, str], int] = {}
        self._others: dict[str, Outline] = {}
        self._sizes: dict[frozenset[tuple[tuple[str, str], int]], Size] = {}
        self._transposed = {name: getattr(module.get_submodule(name), "transposed", False) for name in self.layers}

    def other(self, name: str) -> "Outline":
        """That of another model for the same inputs, whose weights nobody trained yet.

        Raises
        ------
        WorkbenchError
            As `student_called`.
        """
        from workbench.distillation.students import student_called  # slow to import, and seldom needed

        if name not in self._others:
            self._others[name] = Outline(student_called(name, self.context).eval(), self.context)
        return self._others[name]

    def structure(self, granularity: str, importance: str = PLAIN) -> Structure | None:
        """The groups of a granularity and their scores; None where the model has none."""
        key = granularity, importance
        if key not in self._structures:
            try:
                self._structures[key] = self._found(granularity, importance)
            except WorkbenchError:
                self._structures[key] = None
        return self._structures[key]

    def _found(self, granularity: str, importance: str) -> Structure | None:
        step = Prune.model_validate({"granularity": granularity, "importance": importance})
        if importance != PLAIN:
            plain = self.structure(granularity)
            return plain.ranked_by(step, self.context, self._score) if plain else None
        structure = Structure(Work(self.module), step, self.context)
        structure.leave_broken()
        for group in structure.groups:
            self._note(unit(granularity), group)
        return structure

    def _score(self, step: Prune, groups: list[Group]) -> Scores:
        """What the units of groups are worth, which may have been found earlier."""

        def find() -> dict[str, Tensor]:
            scores = IMPORTANCES[step.importance](groups, self.module, self.context)
            return {group.name: score for group, score in zip(groups, scores, strict=True) if score is not None}

        shapes = {group.name: (group.units,) for group in groups}
        found = self._kept.of(f"{step.granularity}-{step.importance}", shapes, find)
        return [found.get(group.name) for group in groups]

    @cached_property
    def zeros(self) -> Zeros:
        """Which single weights go."""
        return Zeros(self.module, self.context, self._kept)

    @cached_property
    def coded(self) -> Coded:
        """What weights take in a packed file."""
        return Coded(self.module)

    def scores(self, structure: Structure, seed: int) -> list[Tensor]:
        """What the units of its groups are worth to a recipe of this seed, on which only chance depends."""
        if structure.step.importance != "random" or seed == self.context.seed:
            return structure.scores
        return structure.ranked_by(structure.step, replace(self.context, seed=seed)).scores

    def size(self, cut: Cut) -> Size:
        """The exact size of the model after a cut."""
        key = frozenset(cut.items())
        size = self._sizes.get(key)
        if size is None:
            if len(self._sizes) >= REMEMBERED:
                self._sizes.clear()
            size = self._sizes[key] = self._sized(cut)
        return size

    def _sized(self, cut: Cut) -> Size:
        shapes = {name: list(shape) for name, shape in self.shapes.items()}
        gone_blocks = []
        for key, kept in cut.items():
            gone = self.whole(key) - kept
            if key[0] == "block":
                gone_blocks += [f"{key[1]}."] if gone else []
                continue
            for parameter, dim, each in self._touching[key]:
                shapes[parameter][dim] -= gone * each
        left = {n: shape for n, shape in shapes.items() if not n.startswith(tuple(gone_blocks))}
        layers = [self._layer(name, left[_weight(name)]) for name in self.layers if _weight(name) in left]
        return Size(
            parameters=sum(math.prod(shape) for shape in left.values()),
            macs=sum(layer.macs for layer in layers) + round(self.rest * self._heads_left(cut)),
            layers=tuple(layers),
        )

    @cached_property
    def whole_size(self) -> Size:
        """The exact size of the unpruned model."""
        return self.size({})

    def whole(self, key: tuple[str, str]) -> int:
        """How many units a group has at first; the graph is walked where that was not needed before."""
        for granularity in ("channel", "mlp") if key[0] == "channel" else (key[0],):
            if key not in self._units:
                self.structure(granularity)
        return self._units[key]

    def _layer(self, name: str, shape: list[int]) -> LayerSize:
        outputs, inputs = (shape[1], shape[0]) if self._transposed[name] else (shape[0], shape[1])
        return LayerSize(name, outputs, inputs, math.prod(shape[2:]), self.uses[name])

    def _heads_left(self, cut: Cut) -> float:
        heads = [key for key in self._units if key[0] == "head"]
        whole = sum(self._units[key] for key in heads)
        return sum(cut.get(key, self._units[key]) for key in heads) / whole if whole else 1.0

    def _note(self, kind: str, group: Group) -> None:
        """Which dimensions of which parameters shrink, by how much, for each unit of a group that goes."""
        key = kind, group.name
        if key in self._units:
            return
        self._units[key] = group.units
        touched: dict[tuple[str, int], int] = defaultdict(int)
        for member in group.members:
            each = len(member.index[0].unique())
            touched[member.parameter, member.dim] += each
            owner, _, name = member.parameter.rpartition(".")
            if member.role == "in":
                continue
            length = self.shapes[member.parameter][member.dim]
            for other, shape in self.shapes.items():
                along = other != member.parameter and other.rpartition(".")[0] == owner
                if along and shape == (length,) and ("bias" in other.rpartition(".")[2]) == ("weight" in name):
                    touched[other, 0] += each
        self._touching[key] = [(parameter, dim, each) for (parameter, dim), each in touched.items()]


def unit(granularity: str) -> str:
    """What a granularity's units are: hidden widths are channels, too."""
    return "channel" if granularity == "mlp" else granularity


def _weight(layer: str) -> str:
    return f"{layer}.weight" if layer else "weight"
