"""What a recipe leads to, step by step, without doing any of it: exact counts where arithmetic tells, else notes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from workbench.energy import macs_by_width
from workbench.errors import WorkbenchError
from workbench.prediction.outline import Outline, Size, unit
from workbench.pruning.allocation import allocate, own_ratios
from workbench.pruning.groups import MOST, SINGLE, Group, least
from workbench.pruning.weights import prunable
from workbench.quantization.layers import weight_name
from workbench.recipe import Recipe
from workbench.runtimes import Runtime
from workbench.steps import Distill, Half, Pack, Prune, Quantize, ShareWeights, Slim, Sparsify, Step
from workbench.steps.finetune import Training
from workbench.steps.quantize import FLOATS

HALVINGS = 10
USUAL_RATE = {"sgd": 0.05, "adam": 1e-3, "adamw": 1e-3}
COSTLY = ("ablation",)
"""Importances that take minutes to compute: L2 stands in for them."""


@dataclass
class Prospect:
    """A model on its way through a recipe, as far as arithmetic can follow.

    Attributes
    ----------
    cut : dict
        Units left, by kind and group.
    zeros : float
        The share of single weights that are zero.
    quantize : Quantize or None
    precision : str
        Of floats: float32, float16 or bfloat16.
    shared : ShareWeights or None
    packed, simulated : bool
    importance : str or None
        By which units or weights were chosen.
    epochs : float
        Passes over the training set, of all trainings.
    updates : float
        Of the weights, each counted by its learning rate against Adam's usual one.
    pace : float
        The logarithm of the last training's learning rate, against the usual one of its optimizer.
    distilled : float
        The weight of the teacher in the last training.
    fresh : bool
        Whether it began with random weights.
    student : str or None
        The name of another model that takes the place of the first.
    first : Outline or None
        That of the first model, where another one took its place.
    steps : list of Step
        The steps so far that change weights without training, as they would be carried out alone.
    notes : list of str
        What was not followed exactly.
    seed : int
        The recipe's.
    """

    outline: Outline
    runtime: Runtime
    cut: dict[tuple[str, str], int] = field(default_factory=dict)
    zeros: float = 0.0
    quantize: Quantize | None = None
    precision: str = "float32"
    shared: ShareWeights | None = None
    packed: bool = False
    simulated: bool = False
    importance: str | None = None
    epochs: float = 0.0
    updates: float = 0.0
    pace: float = 0.0
    distilled: float = 0.0
    fresh: bool = False
    student: str | None = None
    first: Outline | None = None
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seed: int = 0

    @property
    def size(self) -> Size:
        """Exact counts."""
        return self.outline.size(self.cut)

    @property
    def whole(self) -> Size:
        """Exact counts of the model that the recipe begins with."""
        return (self.first or self.outline).whole_size

    @property
    def family(self) -> str:
        """What its figures can be told from: the form, of the same architecture."""
        return f"{self.student}: {self.form}" if self.student else self.form

    @property
    def form(self) -> str:
        """The format of the file: files of one form differ by their sizes alone."""
        if self.packed or self.simulated or self.shared:
            return "packed"
        if self.quantize is None:
            return self.precision
        q = self.quantize
        ends = "+8" if q.keep_ends and q.weight_bits != 8 else ""
        width = f"{q.weight_bits}{ends}"
        if q.average_bits or q.byte_budget:
            width = f"in {q.byte_budget} bytes" if q.byte_budget else f"{q.average_bits} on average"
        own = sorted(f"{name} in {'floats' if b >= FLOATS else b}" for name, b in q.layers.items())
        but = f", {' and '.join(own)}" if own else ""
        return f"{q.mode} {width}/{q.activation_bits} by {q.granularity}{but}"

    def macs(self, device: str) -> dict[str, int]:
        """Multiply-accumulates of one sample, by the numbers that they are computed with."""
        size, mode = self.size, self.quantize.mode if self.quantize else None
        layers = {layer.name: layer.macs for layer in size.layers}
        return macs_by_width(size.macs, layers, self.bits, mode, self.precision, device)

    @property
    def ratios(self) -> dict[str, float]:
        """The share that each cut group of channels or heads loses, by the group's name."""
        return {key[1]: 1 - kept / self.outline.whole(key) for key, kept in self.cut.items() if key[0] != "block"}

    @property
    def bits(self) -> dict[str, int]:
        """Bits of each quantized layer's weights."""
        if self.quantize is None:
            return {}
        q, names = self.quantize, self.outline.layers
        if q.mode != "static":
            names = [n for n in names if isinstance(self.outline.module.get_submodule(n), torch.nn.Linear)]
        width = round(q.average_bits) if q.average_bits else q.weight_bits
        if q.byte_budget:
            weights = sum(self.outline.module.get_parameter(weight_name(n)).numel() for n in names)
            width = min(max(round(8 * q.byte_budget / max(1, weights)), 2), 8)
        ends = {names[0]: 8, names[-1]: 8} if q.keep_ends and names else {}
        return dict.fromkeys(names, width) | ends | {n: b for n, b in q.layers.items() if n in names}


def follow(recipe: Recipe, outline: Outline, runtime: Runtime) -> Prospect:
    """What a recipe leads to."""
    prospect = Prospect(outline, runtime, seed=recipe.seed)
    for step in recipe:
        effect = next((effect for kind, effect in EFFECTS.items() if isinstance(step, kind)), None)
        if effect is None:
            prospect.notes.append(f"What {type(step).__name__} does to the model is not predicted.")
        else:
            effect(prospect, step)
    return prospect


def _prune(prospect: Prospect, step: Step) -> None:
    assert isinstance(step, Prune)
    prospect.steps.append(step)
    prospect.importance = step.importance
    if step.granularity in SINGLE:
        ratio = 1 - step.n / step.m if step.granularity == "n:m" else _weight_ratio(prospect, step)
        prospect.zeros = max(prospect.zeros, ratio)
        return
    if step.scope == "latency":
        prospect.notes.append(
            "Which channels are slow is only measured when it runs; predicted as the same in each layer."
        )
    if step.target == "none":
        prospect.cut = _cut(prospect, step, step.ratio)
        return
    if step.target == "latency" and step.limit:
        prospect.notes.append("What a limit in milliseconds takes is only found when it runs; predicted as unpruned.")
        return
    most = step.limit or step.keep * _figure(prospect, step.target)
    low, high = 0.0, MOST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        tried = replace(prospect, cut=_cut(prospect, step, middle), notes=[])
        low, high = (low, middle) if _figure(tried, step.target) <= most else (middle, high)
    prospect.cut = _cut(prospect, step, high)
    if step.target == "latency":
        prospect.notes.append("The target in latency is predicted by MACs.")


def _figure(prospect: Prospect, target: str) -> float:
    size = prospect.size
    return {"macs": size.macs, "latency": size.macs, "bytes": 4 * size.parameters}.get(target, size.parameters)


def _cut(prospect: Prospect, step: Prune, ratio: float) -> dict[tuple[str, str], int]:
    importance = "l2" if step.importance in COSTLY else step.importance
    structure = prospect.outline.structure(step.granularity, importance)
    if structure is None:
        raise WorkbenchError(
            f"This model has nothing to prune by {step.granularity} and '{step.importance}'.",
            "Choose another granularity or importance.",
        )
    kind = unit(step.granularity)
    groups, scores = [], []
    for group, score in zip(structure.groups, prospect.outline.scores(structure, prospect.seed), strict=True):
        kept = prospect.cut.get((kind, group.name), group.units)
        groups.append(_narrowed(group, kept))
        scores.append(score.sort(descending=True, stable=True).values[:kept])
    own = own_ratios(groups, step.layers, _layers(prospect.outline))
    counts = allocate(groups, scores, own, step, ratio)
    return prospect.cut | {(kind, g.name): count for g, count in zip(groups, counts, strict=True)}


def _narrowed(group: Group, units: int) -> Group:
    return group if units == group.units else replace(group, units=units, least=min(units, least(units)))


def _layers(outline: Outline) -> list[str]:
    return [name for name, part in outline.module.named_modules() if name and list(part.parameters(recurse=False))]


def _weight_ratio(prospect: Prospect, step: Prune) -> float:
    """The share of all weights that become zero."""
    if step.target != "none":
        total = prospect.size.parameters * (4 if step.target == "bytes" else 1)
        if step.target == "bytes":
            prospect.notes.append("The bytes of a packed file are predicted by the weights that are left.")
        return min(MOST, max(0.0, 1 - (step.limit or step.keep * total) / total))
    if not step.threshold and not step.layers:
        return step.ratio
    zeros, count = 0.0, 0
    for name in prunable(prospect.outline.module):
        weight = prospect.outline.module.get_parameter(name).detach()
        own = step.layers.get(name.removesuffix(".weight"))
        share = float((weight.abs() < step.threshold).float().mean()) if step.threshold else step.ratio
        zeros += weight.numel() * (share if own is None else own)
        count += weight.numel()
    return zeros / count


def _slim(prospect: Prospect, step: Step) -> None:
    assert isinstance(step, Slim)
    _prune(prospect, Prune(ratio=step.ratio, scope=step.scope, round_to=step.round_to, layers=step.layers))
    _train(prospect, step)


def _sparsify(prospect: Prospect, step: Step) -> None:
    assert isinstance(step, Sparsify)
    _prune(prospect, Prune(ratio=min(step.ratio, MOST), scope=step.scope, granularity="weight"))
    prospect.zeros = max(prospect.zeros, step.ratio)
    rounds = step.rounds if step.method in ("iterative", "lottery") else 1
    for _ in range(rounds):
        _train(prospect, step)


def _train(prospect: Prospect, step: Step) -> None:
    assert isinstance(step, Training)
    if isinstance(step, Distill) and (step.fresh or step.student != "same"):
        _begin(prospect, step.student)
    few = isinstance(step, Distill) and step.data == "calibration"
    dataset = prospect.outline.context.dataset
    samples = len(dataset.calibration if few else dataset.train)
    prospect.epochs += step.epochs * samples / len(dataset.train)
    pace = step.learning_rate / USUAL_RATE[step.optimizer]
    prospect.updates += step.epochs * samples / step.batch_size * min(max(pace, 0.1), 2.0)
    prospect.pace = math.log(pace)
    prospect.distilled = step.alpha if isinstance(step, Distill) else 0.0


def _begin(prospect: Prospect, student: str) -> None:
    """With random weights: those of the model as it is cut, or another model."""
    prospect.fresh, prospect.zeros, prospect.updates, prospect.steps = True, 0.0, 0.0, []
    if student != "same":
        prospect.first = prospect.first or prospect.outline
        prospect.outline, prospect.student, prospect.cut = prospect.first.other(student), student, {}


def _quantize(prospect: Prospect, step: Step) -> None:
    assert isinstance(step, Quantize)
    prospect.steps.append(step)
    prospect.quantize = step
    prospect.simulated = not prospect.runtime.computes(step)


def _half(prospect: Prospect, step: Step) -> None:
    assert isinstance(step, Half)
    prospect.steps.append(step)
    prospect.precision = step.format


def _share(prospect: Prospect, step: Step) -> None:
    assert isinstance(step, ShareWeights)
    prospect.steps.append(step)
    prospect.shared, prospect.packed = step, True


def _pack(prospect: Prospect, step: Step) -> None:
    prospect.packed = True


EFFECTS: dict[type[Step], Callable[[Prospect, Step], None]] = {
    Prune: _prune,
    Slim: _slim,
    Sparsify: _sparsify,
    Training: _train,
    Quantize: _quantize,
    Half: _half,
    ShareWeights: _share,
    Pack: _pack,
}
"""What each step does to a prospect; kinds before those that they are kinds of."""
