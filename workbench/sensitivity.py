"""Sensitivity: how much a model suffers when one layer alone is pruned or gets fewer bits, and what follows from it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from workbench.errors import lookup
from workbench.estimates import Estimate, share_of
from workbench.quantization.mixed import allocate

if TYPE_CHECKING:
    from rich.table import Table

    from workbench.prediction.outline import Outline

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
BITS = (8, 6, 4, 3, 2, 1)
NOTHING = 5e-5  # of an output's size: what sums in another order come to
UNROUNDED = 16.0  # bits that change nothing


@dataclass(frozen=True)
class Point:
    """One layer changed alone, and what that does to the whole model.

    Attributes
    ----------
    kind : {"ratio", "bits"}
    layer : str
        A layer, or the layer that stands for a group of channels that go together.
    value : float
        The share of channels removed, or the bits of each weight.
    right, samples : int
        So many of so many validation samples are still answered right.
    error : float
        How far the answers moved: the mean Kullback-Leibler divergence, in nats.
    moved : float or None
        How far the model's outputs moved, over their own size: the root of the summed squares of what changed over that
        of what was. None where an earlier version measured the point.
    """

    kind: str
    layer: str
    value: float
    right: int
    samples: int
    error: float
    moved: float | None = None

    @property
    def accuracy(self) -> Estimate:
        """The share answered right, with its Wilson interval."""
        return share_of(self.right, self.samples)

    @property
    def sqnr(self) -> float | None:
        """`moved` as a signal-to-noise ratio of the outputs, in decibels; infinite where nothing moved."""
        if self.moved is None:
            return None
        return float("inf") if self.moved == 0 else -20 * float(np.log10(self.moved))


@dataclass(frozen=True)
class Sensitivity:
    """All points of a model, and what can be solved from them without touching it again.

    Attributes
    ----------
    points : tuple of Point
    baseline : Estimate
        Accuracy of the unchanged model on the same samples.
    importance : str
        Which channels go first.
    outline : Outline
        What each layer weighs.
    """

    points: tuple[Point, ...]
    baseline: Estimate
    importance: str
    outline: "Outline"

    def grid(self, kind: str) -> tuple[list[str], list[float], np.ndarray, np.ndarray]:
        """For a heat map of one kind: layers, values, and accuracy and error, each of shape (layers, values)."""
        mine = [point for point in self.points if point.kind == kind]
        layers = list(dict.fromkeys(point.layer for point in mine))
        values = sorted({point.value for point in mine}, reverse=kind == "bits")
        shape = len(layers), len(values)
        accuracy, error = np.full(shape, np.nan), np.full(shape, np.nan)
        for point in mine:
            place = layers.index(point.layer), values.index(point.value)
            accuracy[place], error[place] = point.right / point.samples, point.error
        return layers, values, accuracy, error

    def output_error(self, kind: str) -> np.ndarray:
        """As `grid`: how far the model's outputs moved, of shape (layers, values); NaN where that wasn't measured."""
        layers, values, found, _ = self.grid(kind)
        found = np.full_like(found, np.nan)
        for point in self.points:
            if point.kind == kind and point.moved is not None:
                found[layers.index(point.layer), values.index(point.value)] = point.moved
        return found

    def table(self, kind: str, title: str, what: str = "accuracy") -> "Table":
        """Figures of one kind, as in `rows`, as a table for a terminal."""
        from rich.table import Table

        layers, values, *_ = self.grid(kind)
        unchanged = f"; unchanged {self.baseline.value:.1%}" if what == "accuracy" else ""
        table = Table(title=f"{title}{unchanged}")
        columns = [_column(kind, value) for value in values]
        for column in ("layer", *(column.removeprefix("-").removesuffix(" bits") for column in columns)):
            table.add_column(column)
        for row in self.rows(what):
            if row["layer"] in layers:
                table.add_row(row["layer"], *(row[column] for column in columns))
        return table

    def rows(self, what: str = "accuracy") -> list[dict[str, str]]:
        """A row for each layer, figures in per cent by the share of channels removed and by bits.

        Parameters
        ----------
        what : {"accuracy", "output error"}
            The share answered right, or how far the model's outputs moved over their own size; "" where unknown.
        """
        found: dict[str, dict[str, str]] = {}
        columns = [_column("ratio", ratio) for ratio in RATIOS] + [_column("bits", bits) for bits in BITS]
        for point in self.points:
            row = found.setdefault(point.layer, {"layer": point.layer, **dict.fromkeys(columns, "")})
            told = f"{point.accuracy.value:.1%}" if what == "accuracy" else _per_cent(point.moved)
            row[_column(point.kind, point.value)] = told
        return list(found.values())

    def sentences(self, what: str = "accuracy") -> list[str]:
        """What the figures are, and the layer that suffers most and least from pruning."""
        samples = f"{len(self.points) and self.points[0].samples:,} validation samples"
        alone = "Each layer changed alone, all others as they are"
        right = what == "accuracy"
        if right:
            said = [f"{alone}; unchanged, {self.baseline.value:.1%} of {samples} are right."]
        else:
            said = [f"{alone}: how far the model's outputs move, as a share of their own size, over {samples}."]
        layers, values, accuracy, _ = self.grid("ratio")
        suffers = -accuracy if right else self.output_error("ratio")
        half = len(values) // 2
        if len(layers) < 2 or np.isnan(suffers[:, half]).any():
            return said
        worst, least = (pick(suffers[:, half]) for pick in (np.argmax, np.argmin))
        most, fewest = (f"{-x:.1%}" if right else _per_cent(x) for x in (suffers[worst, half], suffers[least, half]))
        does = f"costs most (accuracy {most})" if right else f"moves them most (by {most})"
        cut = f"Without {values[half]:.0%} of its channels"
        return [*said, f"{cut}, {layers[worst]} {does} and {layers[least]} least ({fewest})."]

    def error(self, kind: str, layer: str, value: float) -> float:
        """The error at any value, between those measured along a line; 0 where nothing is changed."""
        return self._between(kind, layer, value, "error")

    def accuracy(self, kind: str, layer: str, value: float) -> float:
        """The share answered right at any value, between those measured along a line."""
        return self._between(kind, layer, value, "accuracy")

    def knows(self, bits: Mapping[str, int]) -> bool:
        """Whether layers were rounded to as few bits as these: of fewer, what was measured says nothing."""
        if not any(kind == "bits" for kind, *_ in self._lines):
            return not bits
        return all(width >= self._lines.get(("bits", name, "error"), ([0.0], []))[0][0] for name, width in bits.items())

    def _between(self, kind: str, layer: str, value: float, what: str) -> float:
        values, found = self._lines.get((kind, layer, what), ([0.0], [self._unchanged(what)]))
        return float(np.interp(value, values, found))

    def _unchanged(self, what: str) -> float:
        return 0.0 if what == "error" else self.baseline.value

    @cached_property
    def _lines(self) -> dict[tuple[str, str, str], tuple[list[float], list[float]]]:
        """By kind, layer and what is asked: the values that were measured, and what was found there."""
        found: dict[tuple[str, str, str], dict[float, float]] = {}
        for point in self.points:
            for what, figure in (("error", point.error), ("accuracy", point.right / point.samples)):
                none = 0.0 if point.kind == "ratio" else UNROUNDED
                line = found.setdefault((point.kind, point.layer, what), {none: self._unchanged(what)})
                line[point.value] = figure
        return {key: (sorted(line), [line[value] for value in sorted(line)]) for key, line in found.items()}

    def bits(self, average: float, among: Mapping[str, Collection[int]] | None = None) -> dict[str, int]:
        """The bits of each layer that together cost least, for an average over all weights: an exact integer program.

        Parameters
        ----------
        average : float
        among : mapping, optional
            The bits that each layer may have: of those, what was measured. All that was measured if left out.

        Raises
        ------
        WorkbenchError
            If not even the fewest bits keep to it.
        """
        costs = {name: {int(v): e for v, e in line.items() if v != UNROUNDED} for name, line in self._errors("bits")}
        if among is not None:
            costs = {n: {b: e for b, e in line.items() if b in among.get(n, ())} for n, line in costs.items()}
            costs = {name: line for name, line in costs.items() if line}
        sizes = {layer.name: layer.weights for layer in self.outline.whole_size.layers if layer.name in costs}
        return allocate({name: costs[name] for name in sizes}, sizes, average * sum(sizes.values()))

    def ratios(
        self,
        macs: float,
        solver: str = "greedy",
        damage: Callable[[Mapping[str, float]], float] | None = None,
        seed: int = 0,
    ) -> dict[str, float]:
        """Ratios of each layer that bring the MACs down to a share, at the least damage.

        Parameters
        ----------
        macs : float
            In (0, 1]; the largest that the measured ratios reach is what comes out where they can't reach it.
        solver : {"greedy", "evolution"}
            Each greedy move takes the group whose next tenth costs the least error for the multiplications that it
            saves then. Evolution goes on from there, see `workbench.search.evolution`.
        damage : callable, optional
            What evolution keeps low, of ratios by group; the sum of the layers' errors if left out.
        seed : int
            Of the evolution.

        Raises
        ------
        WorkbenchError
            On an unknown solver.
        """
        lookup({"greedy": None, "evolution": None}, solver, "solver")
        table = {
            name: dict(zip(line, map(float, np.maximum.accumulate(list(line.values()))), strict=True))
            for name, line in self._errors("ratio")
        }
        found = self._greedy(table, macs)
        if solver == "greedy" or not table or self.left(found) > macs:
            return found
        from workbench.search.evolution import evolved

        summed = damage or (lambda ratios: sum(table[name][ratio] for name, ratio in ratios.items()))
        return evolved({name: list(row) for name, row in table.items()}, summed, self.left, macs, found, seed)

    def _errors(self, kind: str) -> Iterator[tuple[str, dict[float, float]]]:
        """Each layer's errors by the values that were measured of it, in order, however many these are."""
        for (of, name, what), (values, found) in self._lines.items():
            if (of, what) == (kind, "error"):
                yield name, dict(zip(values, found, strict=True))

    def left(self, ratios: Mapping[str, float]) -> float:
        """The share of MACs that ratios by group of channels leave."""
        cut = {}
        for name, ratio in ratios.items():
            units = self.outline.whole(("channel", name))
            cut["channel", name] = max(1, units - round(units * ratio))
        return self.outline.size(cut).macs / self.outline.whole_size.macs

    def _greedy(self, table: Mapping[str, Mapping[float, float]], macs: float) -> dict[str, float]:
        ratios, now = dict.fromkeys(table, 0.0), 1.0
        while now > macs:
            moves = []
            for name, row in table.items():
                if wider := [ratio for ratio in row if ratio > ratios[name]]:
                    left = self.left(ratios | {name: wider[0]})
                    if left < now:
                        moves.append(((row[wider[0]] - row[ratios[name]] + 1e-9) / (now - left), name, wider[0], left))
            if not moves:
                break
            _, name, ratios[name], now = min(moves)
        return ratios


def _column(kind: str, value: float) -> str:
    return f"-{value:.0%}" if kind == "ratio" else f"{value:g} bits"


def _per_cent(share: float | None) -> str:
    """With two digits that count, as such errors span decades; "" where it is unknown."""
    if share is None:
        return ""
    if share < NOTHING:
        return "0%"
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"
