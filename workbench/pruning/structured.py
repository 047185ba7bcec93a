"""Structured pruning: find what can be removed, rank it, cut as much as the step asks for, and check that it runs."""

import copy
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.pruning.allocation import Kept, allocate, own_ratios
from workbench.pruning.blocks import block_groups
from workbench.pruning.channels import channel_groups, mlp_groups
from workbench.pruning.groups import Edit, Group
from workbench.pruning.heads import head_groups
from workbench.pruning.importance import IMPORTANCES, Scores
from workbench.pruning.latency_aware import LatencyAware
from workbench.pruning.plan import replay
from workbench.pruning.targets import reach
from workbench.steps.base import Context, Work
from workbench.steps.prune import Prune

Scoring = Callable[[Prune, list[Group]], Scores]
Find = Callable[[nn.Module, Tensor], tuple[list[Group], list[str]]]
FIND: dict[str, tuple[str, str, Find]] = {
    "channel": ("channels", "channels", channel_groups),
    "mlp": ("features", "hidden widths of linear layers", mlp_groups),
    "head": ("heads", "attention heads that can be told apart", head_groups),
    "block": ("blocks", "blocks that it can do without", block_groups),
}
"""By granularity: what its units are called, what a model without any lacks, and how they are found."""


def prune_structure(work: Work, step: Prune, context: Context) -> None:
    """Cut the least important units of the step's granularity out of the model, and note what was and wasn't done.

    Raises
    ------
    WorkbenchError
        If there is nothing to cut, every cut breaks the model, or the target is out of reach.
    """
    structure = Structure(work, step, context)
    if step.target == "none":
        pruned = structure.at(step.ratio)
    else:
        pruned, told = reach(structure.at, work, step, context)
        structure.notes.append(told)
    work.module = pruned.module
    work.plan.extend(pruned.edits)
    work.notes.extend(structure.notes + pruned.notes)


@dataclass
class Pruned:
    """A pruned copy of a module, and the edits that made it so."""

    module: nn.Module
    edits: list[Edit]
    notes: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        return repr(self.edits)


class Structure:
    """A model's groups, their scores, and what it becomes at a ratio.

    Attributes
    ----------
    groups : list of Group
    scores : list of torch.Tensor
        One for each group, shape (units,).
    notes : list of str
        What was left alone, and why.
    """

    def __init__(self, work: Work, step: Prune, context: Context):
        self.module, self.step, self.context = work.module, step, context
        self.example = torch.from_numpy(context.dataset.prepare(context.dataset.calibration.inputs[:2]))
        with torch.no_grad():
            self.expected = self.module.eval()(self.example).shape
        self.notes: list[str] = []
        self.units, kind, find = FIND[step.granularity]
        groups, left = find(self.module, self.example)
        if left and step.granularity in ("channel", "head"):
            self.notes.append(
                f"Left whole, as attention counts on their width: {', '.join(left)}."
                + (" (Granularity 'head' prunes attention.)" if step.granularity == "channel" else "")
            )
        if not groups:
            why = ": all that its layers compute are its outputs" if step.granularity == "channel" and not left else ""
            raise WorkbenchError(
                f"This model has no {kind} to prune{why}.",
                "Prune single weights (granularity: weight) instead.",
            )
        self._latency: LatencyAware | None = None
        self._work, self._found = work, groups
        self._rank()
        if step.scope == "latency":
            self.leave_broken()  # each group is narrowed alone and timed

    def ranked_by(self, step: Prune, context: Context, scoring: Scoring | None = None) -> "Structure":
        """The same groups for another step, whose importance ranks them: the graph is not walked again.

        Parameters
        ----------
        step : Prune
        context : Context
        scoring : callable, optional
            Says what the units of each group are worth to the step, as its importance does.

        Raises
        ------
        WorkbenchError
            As the importance does.
        """
        other = copy.copy(self)
        other.step, other.context, other.notes, other._latency = step, context, list(self.notes), None
        other._rank(scoring)
        whole = {group.name for group in self.groups}
        other._drop([index for index, group in enumerate(other.groups) if group.name not in whole])
        return other

    def _rank(self, scoring: Scoring | None = None) -> None:
        """Say what the units of each group are worth, and leave groups whole of which nothing can be said."""
        step, groups = self.step, self._found
        layers = [name for name, part in self.module.named_modules() if name and list(part.parameters(recurse=False))]
        own = own_ratios(groups, step.layers, layers)
        found = scoring(step, groups) if scoring else IMPORTANCES[step.importance](groups, self.module, self.context)
        ranked = [index for index, score in enumerate(found) if score is not None]
        if len(ranked) < len(groups):
            unranked = [layer for index, group in enumerate(groups) if index not in ranked for layer in group.layers]
            self.notes.append(f"Left whole, as '{step.importance}' has nothing to rank them by: {', '.join(unranked)}.")
        self.own = {ranked.index(index): ratio for index, ratio in own.items() if index in ranked}
        self.groups = [groups[index] for index in ranked]
        self.scores = [score.detach().double() for score in found if score is not None]

    def at(self, ratio: float) -> Pruned:
        """The model pruned by a ratio; groups whose cut breaks it are left whole from then on, and noted.

        Raises
        ------
        WorkbenchError
            If every cut breaks it.
        """
        pruned = self._cut(self._kept(ratio), ratio)
        if pruned is None and self.leave_broken():
            pruned = self._cut(self._kept(ratio), ratio)
        if pruned is None:
            raise WorkbenchError(
                f"The {self.units} of this model can't be pruned: every edit breaks its forward pass.",
                "Prune single weights (granularity: weight) instead.",
            )
        return pruned

    def leave_broken(self) -> bool:
        """Leave groups whose cut breaks the model whole from now on; whether there were such, and others."""
        broken = [index for index, group in enumerate(self.groups) if not self._survives(group)]
        if not 0 < len(broken) < len(self.groups):
            return False
        named = [layer for index in broken for layer in self.groups[index].layers]
        self.notes.append(
            f"Left whole, as the model no longer runs, or computes something else, when their {self.units} are"
            f" cut: {', '.join(named)}. (A shortcut with a fixed number of channels is the usual cause.)"
        )
        self._drop(broken)
        return True

    def _kept(self, ratio: float) -> Kept:
        """How many units of each group stay."""
        return allocate(self.groups, self.scores, self.own, self.step, ratio, self._by_latency)

    def _by_latency(self, groups: list[Group], scores: list[Tensor], ratio: float) -> Kept:
        if self._latency is None:
            self._latency = LatencyAware.measured(groups, scores, self._work, self.step, self.context)
            self.notes.append(self._latency.note)
        return self._latency.at(ratio)

    def _cut(self, kept: Kept, ratio: float) -> Pruned | None:
        going = [
            (group, sorted(score.argsort(stable=True)[: group.units - count].tolist()))
            for group, score, count in zip(self.groups, self.scores, kept, strict=True)
            if count < group.units
        ]
        edits = [group.edit(units) for group, units in going]
        module = copy.deepcopy(self.module).eval()
        if not self._made(module, edits) or not self._faithful(module, going):
            return None
        return Pruned(module, edits, self._said(kept, ratio, edits))

    def _said(self, kept: Kept, ratio: float, edits: list[Edit]) -> list[str]:
        if ratio > 0 and not edits:
            rounding = f" rounded to {self.step.round_to}" if self.step.round_to > 1 else ""
            why = f"the layers are too narrow for this ratio{rounding}"
            if self.step.scope == "latency":
                why = "no width that this ratio reaches was measurably faster"
            return [f"No {self.units[:-1]} was removed: {why}."]
        floor = [
            f"{group.name} ({count} of {group.units})"
            for group, count in zip(self.groups, kept, strict=True)
            if count == group.least < group.units
            and group.units > 1
            and (self.step.scope != "layer" or group.units - round(group.units * ratio) < count)
        ]
        return [f"No layer is ever emptied; these keep the least that they can: {', '.join(floor)}."] if floor else []

    def _survives(self, group: Group) -> bool:
        """Whether the model still runs, and computes the same but for it, when the first unit of one group is cut."""
        module = copy.deepcopy(self.module)
        return group.units <= group.least or (
            self._made(module, [group.edit([0])]) and self._faithful(module, [(group, [0])])
        )

    def _made(self, module: nn.Module, edits: list[Edit]) -> bool:
        """Whether the edits could be made on the module, and left it running."""
        try:
            replay(module, self.example, edits)
            with torch.no_grad():
                return module(self.example).shape == self.expected and all(p.numel() for p in module.parameters())
        except Exception:  # an edit that breaks a model may raise anything, in its own code too
            return False

    def _faithful(self, pruned: nn.Module, going: list[tuple[Group, list[int]]]) -> bool:
        """Whether the pruned module answers as the whole one does when nothing takes in the units that went.

        An edit can leave a model running and yet add channels to others than before, where a shortcut is padded. Norms
        over several channels answer otherwise in any case, so that those of their groups can't be told.
        """
        if any(member.role == "norm" for group, _ in going for member in group.members):
            return True
        with torch.no_grad(), ExitStack() as stack:
            for group, units in going:
                stack.enter_context(group.without(self.module, *units))
            expected, found = self.module(self.example), pruned(self.example)
        tolerance = 1e-3 * float(expected.abs().max())
        return torch.allclose(found, expected, rtol=1e-3, atol=tolerance, equal_nan=True)

    def _drop(self, broken: list[int]) -> None:
        whole = [index for index in range(len(self.groups)) if index not in broken]
        self.own = {whole.index(index): ratio for index, ratio in self.own.items() if index in whole}
        self.groups, self.scores = [self.groups[i] for i in whole], [self.scores[i] for i in whole]
        self._latency = None
