"""Channels chosen by what they cost on this device: the least of the model lost per millisecond measured as saved."""

import copy
import heapq
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from workbench.macs import weight_uses
from workbench.on_device import exported, runtime_of, timed
from workbench.pruning.allocation import Kept, by_layer, rounded
from workbench.pruning.damage import Damage
from workbench.pruning.groups import Group
from workbench.pruning.plan import replay
from workbench.steps.base import Context, Work
from workbench.steps.prune import Prune

LEVELS = 4  # widths that are timed for each group at most
SAMPLES = 128  # of the calibration split, whose outputs are compared


@dataclass
class LatencyAware:
    """The order in which to narrow groups: a path along which each step loses the least per time saved.

    ``saved[g][k]`` is the share of the latency that goes when group g alone is narrowed to k units, and
    ``damage(kept)`` what the outputs of the whole model lose when all groups keep so many (`workbench.pruning.damage`);
    both are measured. Which units stay says their importance, as in every scope. The path is greedy: of all groups g
    and widths k below the present one, take the least::

        (damage(kept, but g keeps k) - damage(kept)) / ((saved[g][k] - saved[g][now]) * left)

    with ``left`` the share of the MACs of g's layers that the cuts of other groups leave, as a layer's time falls with
    its inputs and with its outputs. Widths that save nothing are never taken. As a cut rarely hurts less after others,
    only the price that seems the least is taken anew each time (lazy greedy).

    The path is held against the plain way, the same share of every group in multiples that kernels like: where the
    path, as far along it as the outputs lose no more than there, is no faster on the device, the plain way is taken.

    Attributes
    ----------
    groups : list of Group
    saved : list of dict of int to float
        For each group, by the units that it keeps.
    damage : callable
        From the units that every group keeps to what is lost, from 0.
    macs : dict of str to int
        Of each layer.
    note : str
    multiple : int
        Of which the plain way keeps one in each group.
    left : callable, optional
        From the units that every group keeps to the share of the latency that is left, measured.
    path : list of (int, int)
        Group, and the units that it then keeps.

    References
    ----------
    Yang et al.: NetAdapt, 2018 (arXiv 1804.03230), for measuring on the device and the greedy order. Shen et al.:
    HALP, 2022 (arXiv 2110.10811), for importance against latency. Minoux: Accelerated greedy algorithms, 1978.
    """

    groups: list[Group]
    saved: list[dict[int, float]]
    damage: Callable[[Kept], float]
    macs: dict[str, int]
    note: str = ""
    multiple: int = 8
    left: Callable[[Kept], float] | None = None
    path: list[tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self._known: dict[tuple[int, ...], float] = {}
        self.path = self._walk()

    @classmethod
    def measured(
        cls, groups: list[Group], scores: list[Tensor], work: Work, step: Prune, context: Context
    ) -> "LatencyAware":
        """Each group narrowed alone to a few widths, exported, and timed against the whole model in one loop.

        Groups of equal shape and cost are timed once.
        """
        inputs = context.dataset.prepare(context.dataset.calibration.inputs[: max(2, context.batch)])
        uses = weight_uses(work.module, inputs[:1])
        weights = {name: work.module.get_submodule(name).get_parameter("weight") for name in uses}
        macs = {name: weights[name].numel() * count for name, count in uses.items()}
        looked = torch.from_numpy(context.dataset.prepare(context.dataset.calibration.inputs[:SAMPLES]))
        known: dict[tuple, float] = {}
        saved: list[dict[int, float]] = []
        with tempfile.TemporaryDirectory() as folder:
            reference = exported(work, context, inputs, Path(folder))
            for index, group in enumerate(groups):
                context.report(share=index / len(groups), message=f"Timing narrower {group.name}")
                cost = tuple(macs.get(member.layer, 0) for member in group.members)
                saved.append({})
                for kept in levels(group, step.round_to):
                    key = group.shape, group.units, cost, kept
                    if key not in known:
                        gone = sorted(scores[index].argsort(stable=True)[: group.units - kept].tolist())
                        narrow = Work(copy.deepcopy(work.module).eval())
                        replay(narrow.module, torch.from_numpy(inputs[:2]), [group.edit(gone)])
                        speedup = timed(reference, narrow, context, inputs, Path(folder))
                        known[key] = max(0.0, 1 - 1 / speedup.value)
                    saved[index][kept] = known[key]
        note = (
            f"{len(known)} narrower models were exported and timed on {runtime_of(context).title} to see which"
            " channels cost time. Measured again, the choice may come out a little different."
        )
        context.report(message="Choosing widths")

        def left(kept: Kept) -> float:
            cut = [
                group.edit(sorted(score.argsort(stable=True)[: group.units - count].tolist()))
                for group, score, count in zip(groups, scores, kept, strict=True)
                if count < group.units
            ]
            narrow = Work(copy.deepcopy(work.module).eval())
            replay(narrow.module, torch.from_numpy(inputs[:2]), cut)
            with tempfile.TemporaryDirectory() as folder:
                reference = exported(work, context, inputs, Path(folder))
                return 1 / timed(reference, narrow, context, inputs, Path(folder)).value

        damage = Damage(work.module, groups, scores, looked)
        return cls(groups, saved, damage, macs, note, step.round_to if step.round_to > 1 else 8, left)

    def at(self, ratio: float) -> Kept:
        """The units that each group keeps when about such a share of all is to go."""
        even = by_layer(self.groups, [], ratio)
        plain = [rounded(kept, group, self.multiple) for kept, group in zip(even, self.groups, strict=True)]
        if self.left is None or all(kept == group.units for kept, group in zip(plain, self.groups, strict=True)):
            return self.along(ratio)
        rival = self.within(self.damage(plain))
        return plain if self._measured(plain) <= self._measured(rival) else self.along(ratio)

    def within(self, damage: float) -> Kept:
        """As far along the path as no more than so much is lost."""
        kept = [group.units for group in self.groups]
        for index, count in self.path:
            further = [*kept[:index], count, *kept[index + 1 :]]
            if self.damage(further) > damage:
                break
            kept = further
        return kept

    def _measured(self, kept: Kept) -> float:
        """What is left of the latency, measured once."""
        key = tuple(kept)
        if key not in self._known:
            assert self.left is not None
            whole = all(count == group.units for count, group in zip(kept, self.groups, strict=True))
            self._known[key] = 1.0 if whole else self.left(kept)
        return self._known[key]

    def along(self, ratio: float) -> Kept:
        """As far along the path as no more than the share of all units is gone."""
        kept = [group.units for group in self.groups]
        most = ratio * sum(kept)
        for index, count in self.path:
            gone = sum(group.units for group in self.groups) - sum(kept) + kept[index] - count
            if gone > most:
                break
            kept[index] = count
        return kept

    def _walk(self) -> list[tuple[int, int]]:
        now = [group.units for group in self.groups]
        path: list[tuple[int, int]] = []
        lost = self.damage(now)
        heap = [(0.0, -1, index, kept) for index, widths in enumerate(self.saved) for kept in widths]
        while heap:
            price, at, index, kept = heapq.heappop(heap)
            if at == len(path):  # its price is that of now
                path.append((index, kept))
                now[index] = kept
                lost = self.damage(now)
            elif kept < now[index]:
                gain = (self.saved[index][kept] - self.saved[index].get(now[index], 0.0)) * self._left(index, now)
                if gain > 0:
                    price = (self.damage([*now[:index], kept, *now[index + 1 :]]) - lost) / gain
                    heapq.heappush(heap, (price, len(path), index, kept))
        return path

    def _left(self, index: int, now: Kept) -> float:
        """The share of the MACs of a group's layers that is left by the cuts of all other groups."""
        layers = {member.layer for member in self.groups[index].members if member.layer in self.macs}
        whole = left = 1e-30
        for layer in layers:
            share = 1.0
            for other, group in enumerate(self.groups):
                touching = sum(member.layer == layer and member.role in ("in", "out") for member in group.members)
                if other != index:
                    share *= (now[other] / group.units) ** touching
            whole, left = whole + self.macs[layer], left + self.macs[layer] * share
        return left / whole


def levels(group: Group, round_to: int) -> list[int]:
    """The widths to time: multiples of what the step rounds to, else of 8, or of 4 for groups narrower than 32."""
    multiple = round_to if round_to > 1 else 8 if group.units >= 32 else 4
    widths = [width for width in range(multiple, group.units, multiple) if width >= group.least]
    stride = -(-len(widths) // LEVELS) or 1
    return widths[::-1][::stride] if stride == 1 else widths[::stride][::-1]
