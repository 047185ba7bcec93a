"""Two trials side by side: which answers differ, for which classes, and from which layer on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.confusion import ClassChange, most_changed
from workbench.errors import WorkbenchError
from workbench.estimates import CONFIDENCE, Estimate, share_of
from workbench.evaluation import Classification, task_of
from workbench.layers import Layer, layers_of, profiled

if TYPE_CHECKING:
    from workbench.data import Dataset
    from workbench.trial import Trial

SAMPLES = 64  # on which the layers' outputs are compared
DAMAGE = 20.0  # dB: below, the error has more than a hundredth of the signal's power
SHOWN = 5  # classes, the most changed ones, where a comparison is printed
FLIPS = ("fixed", "broken", "otherwise")


@dataclass(frozen=True, eq=False)
class LayerChange:
    """One layer in both trials; None where a trial lacks it.

    Attributes
    ----------
    name : str
    before, after : Layer or None
    sqnr : float or None
        Signal to quantization noise of its output in dB, 10 log10(sum(x^2) / sum((x - y)^2)), over the channels that
        both trials have; infinite where they agree to the last bit, None where there is nothing to compare.
    """

    name: str
    before: Layer | None
    after: Layer | None
    sqnr: float | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Trial `b` against trial `a`, on the validation split.

    Attributes
    ----------
    a, b : Trial
    fixed, broken, otherwise : numpy.ndarray
        Indices of the samples that `a` has wrong and `b` right; the other way round; both wrong in different ways. Of
        no classifier: those whose error shrank, and those whose error grew, the most changed ones first.
    p_value : float
        Of a paired test of "neither is better": McNemar's exact one (1947) for a classifier, else a permutation test.
    gain : float
        By how much the score is better.
    agreement : Estimate or None
        Share of samples with the same answer, right or wrong; only classifiers agree.
    classes : list of ClassChange
        Of a classifier.
    layers : list of LayerChange
        In the order of execution.
    unseen : str
        Why the layers' outputs aren't compared, where the runtime does not show them; else empty.
    """

    a: "Trial"
    b: "Trial"
    fixed: np.ndarray
    broken: np.ndarray
    otherwise: np.ndarray
    p_value: float
    gain: float
    agreement: Estimate | None
    classes: list[ClassChange]
    layers: list[LayerChange]
    unseen: str = ""

    def samples(self, flip: str = "broken") -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Raw inputs (M, ...), labels, answers of `a` and answers of `b` (M, ...) of one kind of flip."""
        if flip not in FLIPS:
            raise WorkbenchError(f"There is no kind of flip '{flip}'.", f"Choose from: {', '.join(FLIPS)}.")
        index, split = getattr(self, flip), self._dataset.validation
        return split.inputs[index], split.labels[index], self.a.answers()[index], self.b.answers()[index]

    @property
    def refused(self) -> bool:
        """Whether a runtime refused to tell a part of it: how long layers take, or what they give."""
        sides = ([layer.before for layer in self.layers], [layer.after for layer in self.layers])
        timed = (any(layer and layer.milliseconds is not None for layer in side) for side in sides)
        return bool(self.unseen) or (self.a.study.device == "cpu" and not all(timed))

    @property
    def damage(self) -> LayerChange | None:
        """The first layer whose output is off by more than a hundredth of its power, or None."""
        return next((layer for layer in self.layers if layer.sqnr is not None and layer.sqnr < DAMAGE), None)

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``no evidence of a difference``, by the paired test at 5 %."""
        if self.p_value >= 1 - CONFIDENCE:
            return "no evidence of a difference"
        return "better" if self.gain > 0 else "worse"

    def sentences(self) -> list[str]:
        """What differs, in plain sentences."""
        first, *more = self._told()
        who = f"Trial {self.b.number} against trial {self.a.number}"
        said = [f"{who}: {self.verdict} (p = {self.p_value:.2g}). {first}", *more]
        if self.unseen:
            said.append(f"{self.unseen} So the error of each layer's output is left out.")
        elif not any(layer.sqnr is not None for layer in self.layers):
            said.append("Their layers have nothing in common, so that outputs can't be compared layer by layer.")
        elif self.damage is None:
            said.append("No layer's output is off by more than a hundredth of its power.")
        else:
            said.append(
                f"The damage starts at {self.damage.name or 'the only layer'}: there the error is "
                f"{self.damage.sqnr:.0f} dB below the signal, {10 ** (-(self.damage.sqnr or 0) / 10):.1%} of its power."
            )
        return said

    def _told(self) -> list[str]:
        """How the answers differ."""
        dataset = self._dataset
        task, total = task_of(dataset), len(dataset.validation)
        counts = task.said((len(self.fixed), len(self.broken)), total)
        counts = f"{counts[0].upper()}{counts[1:]}"
        if self.agreement is None:
            said = [f"{counts}."]
            if len(self.broken):
                label, *answers = (part[0] for part in self.samples("broken")[1:])
                was, now = (task.answer_text(answer, dataset) for answer in answers)
                right = task.label_text(label, dataset)
                said.append(
                    f"The error grew most for sample {self.broken[0]}: {was} became {now}"
                    + (f", where {right} is right." if right else ".")
                )
            return said
        said = [
            f"{counts}; {len(self.otherwise)} more are wrong in another way.",
            f"They give the same answer on {self.agreement.value:.1%} "
            f"[{self.agreement.low:.1%}, {self.agreement.high:.1%}].",
        ]
        worst = min(self.classes, key=lambda c: c.after - c.before)
        if worst.after < worst.before:
            said.append(
                f"Class {worst.name} loses most: {worst.before:.1%} of its {worst.samples} samples were right, "
                f"now {worst.after:.1%}."
            )
        return said

    def table(self) -> list[dict[str, str]]:
        """One row of texts for each layer: shapes, channels kept, bits, zeros, time, error."""
        return [_row(layer) for layer in self.layers]

    def class_table(self) -> list[dict[str, str]]:
        """One row of texts for each class, the most changed first."""
        return [change.row() for change in most_changed(self.classes)]

    def __repr__(self) -> str:
        changed = self.class_table()[:SHOWN]
        return "\n".join([*self.sentences(), *_lines(self.table()), *_lines(changed)])

    @property
    def _dataset(self) -> "Dataset":
        return self.a.study.dataset


def compare(a: "Trial", b: "Trial") -> Comparison:
    """Compare two finished trials of one study: `Study.compare` with trials."""
    for trial in (a, b):
        if trial.metrics is None or trial.artifact is None:
            raise WorkbenchError(
                f"Trial {trial.number} can't be compared: it {trial.state}.", "Choose complete trials."
            )
    dataset = a.study.dataset
    labels, before, after = dataset.validation.labels, a.answers(), b.answers()
    task = task_of(dataset)
    change, flips = task.change(before, after, labels), task.flips(before, after, labels)
    classes = isinstance(task, Classification)
    shown, unseen = _shown(a, b)
    return Comparison(
        a=a,
        b=b,
        fixed=flips[0],
        broken=flips[1],
        otherwise=flips[2],
        p_value=change.p_value,
        gain=change.gain,
        agreement=share_of(int((before == after).sum()), len(labels)) if classes else None,
        classes=_classes(dataset.classes, labels, before == labels, after == labels) if classes else [],
        layers=_layers(a, b, shown),
        unseen=unseen,
    )


def _classes(names: list[str], labels: np.ndarray, was: np.ndarray, now: np.ndarray) -> list[ClassChange]:
    return [
        ClassChange(str(name), int(mine.sum()), float(was[mine].mean()), float(now[mine].mean()))
        for number, name in enumerate(names)
        if (mine := labels == number).any()
    ]


def _layers(a: "Trial", b: "Trial", shown: list[dict[str, np.ndarray]]) -> list[LayerChange]:
    first, second = ({layer.name: layer for layer in layers_of(trial, _times(trial))} for trial in (a, b))
    changes = []
    for name in [*first, *(name for name in second if name not in first)]:
        before, after, error = first.get(name), second.get(name), None
        if before and after and shown and all(name in outputs for outputs in shown):
            error = sqnr(*_common(shown[0][name], shown[1][name], before, after))
        changes.append(LayerChange(name, before, after, error))
    return changes


def _times(trial: "Trial") -> list:
    if trial.study.device != "cpu":
        return []
    try:
        return profiled(trial)
    except WorkbenchError:  # a runtime that can't tell; the rest of the comparison stands
        return []


def _shown(a: "Trial", b: "Trial") -> tuple[list[dict[str, np.ndarray]], str]:
    """The outputs of both trials' layers; none, and why, where a runtime does not show them."""
    try:
        return [_activations(trial) for trial in (a, b)], ""
    except WorkbenchError as error:  # the rest of the comparison stands
        return [], error.message


def _activations(trial: "Trial") -> dict[str, np.ndarray]:
    dataset = trial.study.dataset
    assert trial.artifact is not None
    return trial.runtime.activations(trial.artifact, dataset.prepare(dataset.validation.inputs[:SAMPLES]))


def _common(x: np.ndarray, y: np.ndarray, before: Layer, after: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Both outputs, cut to the channels that both trials have."""
    if before.kept is None or after.kept is None:
        return x, y
    _, left, right = np.intersect1d(before.kept, after.kept, return_indices=True)
    axis = 1 if before.kind.startswith("Conv") else -1
    return x.take(left, axis), y.take(right, axis)


def sqnr(signal: np.ndarray, noisy: np.ndarray) -> float | None:
    """10 log10(sum(x^2) / sum((x - y)^2)) in dB; None if the shapes differ or there is no signal."""
    if signal.shape != noisy.shape or not signal.size:
        return None
    power = float(np.square(signal, dtype=np.float64).sum())
    error = float(np.square(signal.astype(np.float64) - noisy).sum())
    if power == 0:
        return None
    return float("inf") if error == 0 else 10 * float(np.log10(power / error))


def _lines(rows: list[dict[str, str]]) -> list[str]:
    """Rows of texts in columns, after an empty line; nothing where there are none."""
    if not rows:
        return []
    lines = [dict(zip(rows[0], rows[0], strict=True)), *rows]
    widths = {key: max(len(line[key]) for line in lines) for key in rows[0]}
    return ["", *("  ".join(line[key].ljust(width) for key, width in widths.items()).rstrip() for line in lines)]


def _row(change: LayerChange) -> dict[str, str]:
    def pair(tell: Callable[[Layer], str]) -> str:
        texts = [tell(layer) if layer else "-" for layer in (change.before, change.after)]
        return texts[0] if texts[0] == texts[1] else " -> ".join(texts)

    error = "-" if change.sqnr is None else "exact" if np.isinf(change.sqnr) else f"{change.sqnr:.1f}"
    return {
        "layer": change.name or "(the model)",
        "weight": pair(lambda layer: "x".join(map(str, layer.weight))),
        "channels": pair(lambda layer: str(layer.channels)),
        "bits": pair(lambda layer: str(layer.bits)),
        "zeros": pair(lambda layer: f"{layer.zeros:.0%}"),
        "ms": pair(lambda layer: "?" if layer.milliseconds is None else f"{layer.milliseconds:.3f}"),
        "SQNR dB": error,
    }
