"""A scan of how sensitive the layers are: each changed alone, judged by the whole model's answers, kept in a file."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench import lines
from workbench.errors import WorkbenchError
from workbench.estimates import share_of
from workbench.layout import channels_last
from workbench.pruning.groups import Group
from workbench.pruning.plan import replay
from workbench.quantization.grids import weight_grid
from workbench.quantization.layers import weighted
from workbench.sensitivity import BITS, RATIOS, Point, Sensitivity
from workbench.threads import threads

if TYPE_CHECKING:
    from workbench.study import Study

COARSE = (0.5, 4, 0.8, 2, 0.2)  # what is tried first of every layer, as a measurement may be broken off
SAMPLES = 1000  # of the validation split, at most
BATCH = 50  # what flows between layers then mostly stays in the caches
TINY = 1e-12  # as outputs that are all zero have no size
UNCHANGED = "unchanged"
Report = Callable[..., None]


def sensitivity(
    study: "Study",
    importance: str = "l2",
    report: Report = lambda **facts: None,
    bits: Sequence[int] = BITS,
    whole: bool = False,
) -> Sensitivity:
    """Prune and round each layer alone, and look at what the whole model then answers.

    Kept in the study's folder by the hash of the weights: what was measured once, also by a run that was broken off,
    is not measured again.

    Parameters
    ----------
    study : Study
    importance : str
        Which channels go first, as in `Prune`.
    report : callable
        Told of the progress; may raise `Cancelled`.
    bits : sequence of int
        What layers are rounded to, of `BITS`.
    whole : bool
        Whether points that an earlier version left without `moved` are measured again.

    Raises
    ------
    WorkbenchError
        If the model has no layer that can be pruned or rounded.
    """
    if study.dataset.task != "classification":
        raise WorkbenchError(
            "How much each layer suffers is told by the share of right answers, which only a classifier has.",
            "Try recipes instead: they are measured by this study's own score.",
        )
    outline = study.outline
    split = study.dataset.validation
    inputs = torch.from_numpy(study.dataset.prepare(split.inputs[:SAMPLES]))
    module = copy.deepcopy(study.module)
    channels_last(module, inputs)
    layers = weighted(module)
    structure = outline.structure("channel", importance)
    if not layers and structure is None:
        raise WorkbenchError("This model has no layer to prune or to quantize.", "Give a model with such layers.")
    labels = torch.from_numpy(split.labels[:SAMPLES])
    store = _store(study, importance)
    expected = logits(module, inputs)

    def judged(changed: nn.Module) -> tuple[int, float, float]:
        answers = logits(changed, inputs)
        error = F.kl_div(F.log_softmax(answers, 1), F.log_softmax(expected, 1), reduction="batchmean", log_target=True)
        moved = float((answers - expected).norm() / expected.norm().clamp_min(TINY))
        return int((answers.argmax(1) == labels).sum()), max(float(error), 0.0), moved

    store.start(int((expected.argmax(1) == labels).sum()), len(labels))
    assert store.baseline is not None
    planned: list[tuple[str, str, float, AbstractContextManager[nn.Module]]] = []
    for group, score in zip(structure.groups, structure.scores, strict=True) if structure else ():
        order = score.argsort(stable=True)
        for ratio in RATIOS:
            gone = min(round(group.units * ratio), group.units - group.least)
            planned.append(("ratio", group.name, ratio, _pruned(module, inputs[:2], group, order[:gone].tolist())))
    for name in layers:
        for width in bits:
            planned.append(("bits", name, width, _rounded(module, name, width)))
    first = COARSE if set(COARSE) & set(bits) else (*COARSE, *bits)
    planned.sort(key=lambda plan: first.index(plan[2]) if plan[2] in first else len(first))
    for place, (kind, layer, value, change) in enumerate(planned):
        report(share=place / len(planned), message=f"Sensitivity: {layer}, {_said(kind, value)}")
        if not store.has(kind, layer, value, whole):
            with change as changed:
                right, error, moved = judged(changed)
            store.add(Point(kind, layer, value, right, len(labels), error, moved))
    report(share=1.0, message="Sensitivity is known")
    return Sensitivity(tuple(store.points), store.baseline, importance, outline)


def known_sensitivity(study: "Study", importance: str = "l2") -> Sensitivity | None:
    """What was measured already, if any of it was: without measuring anything."""
    store = _store(study, importance)
    return Sensitivity(tuple(store.points), store.baseline, importance, study.outline) if store.baseline else None


def _store(study: "Study", importance: str) -> "Store":
    from workbench.weights import weight_hash

    return Store(study.path / "sensitivity" / f"{weight_hash(study.module)[:16]}-{importance}.jsonl")


@torch.no_grad()
def logits(module: nn.Module, inputs: Tensor) -> Tensor:
    """The module's outputs for all inputs, in evaluation mode, shape (N, classes)."""
    with threads(1):
        return torch.cat([module.eval()(part) for part in inputs.split(BATCH)])


class Store:
    """Points in a file, one line each, so that whatever breaks a measurement off costs one point."""

    def __init__(self, path: Path):
        self.path = path
        found = [Point(**fact) for fact in lines.read(path)]
        self.baseline = next((point.accuracy for point in found if point.kind == UNCHANGED), None)
        self._known = {(p.kind, p.layer, p.value): p for p in found if p.kind != UNCHANGED}  # the newest of each

    @property
    def points(self) -> list[Point]:
        return list(self._known.values())

    def has(self, kind: str, layer: str, value: float, whole: bool = False) -> bool:
        point = self._known.get((kind, layer, value))
        return point is not None and not (whole and point.moved is None)

    def start(self, right: int, samples: int) -> None:
        """Note the unchanged model, once."""
        if self.baseline is None:
            self._write(Point(UNCHANGED, "", 0.0, right, samples, 0.0))
            self.baseline = share_of(right, samples)

    def add(self, point: Point) -> None:
        self._write(point)
        self._known[point.kind, point.layer, point.value] = point

    def _write(self, point: Point) -> None:
        lines.append(self.path, asdict(point))


@contextmanager
def _pruned(module: nn.Module, example: Tensor, group: Group, units: list[int]) -> Iterator[nn.Module]:
    """The module without some units of a group: not taken in, where that comes to the same, or else really cut."""
    if group.masked:
        with group.without(module, *units):
            yield module
    else:
        cut = copy.deepcopy(module)
        replay(cut, example, [group.edit(sorted(units))])
        yield cut


@contextmanager
def _rounded(module: nn.Module, name: str, bits: int) -> Iterator[nn.Module]:
    """The module with one layer rounded, all others as they were."""
    weight = module.get_submodule(name).get_parameter("weight")
    before = weight.detach().clone()
    with torch.no_grad():
        weight.copy_(weight_grid(weight, bits).nearest(weight))
        try:
            yield module
        finally:
            weight.copy_(before)


def _said(kind: str, value: float) -> str:
    return f"{value:.0%} of its channels gone" if kind == "ratio" else f"{value:g} bits"
