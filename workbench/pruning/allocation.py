"""How many units each group keeps, by scope: the ratio of every layer, of the whole model, or of each kind of layer."""

from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor

from workbench.errors import WorkbenchError, nearest
from workbench.pruning.groups import Group
from workbench.steps.prune import Prune

Kept = list[int]


def by_layer(groups: list[Group], scores: list[Tensor], ratio: float) -> Kept:
    """The same share of every group."""
    return [max(group.least, group.units - round(group.units * ratio)) for group in groups]


def by_model(groups: list[Group], scores: list[Tensor], ratio: float) -> Kept:
    """The share with the lowest scores of all groups together, of none more than its units that may go."""
    spare = [group.units - group.least for group in groups]
    # what a group has to keep is its best, whatever the others' scores are
    going = [score.sort(stable=True).values[:most] for score, most in zip(scores, spare, strict=True)]
    owner = torch.cat([torch.full((len(part),), index) for index, part in enumerate(going)] or [torch.empty(0)])
    count = round(sum(group.units for group in groups) * ratio)
    gone = owner[torch.cat(going).argsort(stable=True)[:count]] if going else owner
    return [group.units - int((gone == index).sum()) for index, group in enumerate(groups)]


def by_kind(groups: list[Group], scores: list[Tensor], ratio: float) -> Kept:
    """The share with the lowest scores of all groups of one shape together (isomorphic)."""
    kinds = defaultdict(list)
    for index, group in enumerate(groups):
        kinds[group.shape].append(index)
    kept = [0] * len(groups)
    for members in kinds.values():
        counts = by_model([groups[i] for i in members], [scores[i] for i in members], ratio)
        for index, count in zip(members, counts, strict=True):
            kept[index] = count
    return kept


SCOPES: dict[str, Callable[[list[Group], list[Tensor], float], Kept]] = {
    "layer": by_layer,
    "global": by_model,
    "isomorphic": by_kind,
}


def allocate(
    groups: list[Group],
    scores: list[Tensor],
    own: dict[int, float],
    step: Prune,
    ratio: float,
    by_latency: Callable[[list[Group], list[Tensor], float], Kept] | None = None,
) -> Kept:
    """How many units of each group stay when a step prunes by a ratio.

    Parameters
    ----------
    groups : list of Group
    scores : list of torch.Tensor
        One for each group, shape (units,).
    own : dict of int to float
        The ratio of single groups, by their place.
    step : Prune
        Its scope, its granularity and what it rounds to.
    ratio : float
    by_latency : callable, optional
        What allocates where the scope is latency.
    """
    free = [index for index in range(len(groups)) if index not in own]
    # each block is one unit: its share can only be of all
    scope = "global" if step.granularity == "block" else step.scope
    share = by_latency if scope == "latency" and by_latency else SCOPES.get(scope, by_layer)
    counts = share([groups[i] for i in free], [scores[i] for i in free], ratio)
    kept = dict(zip(free, counts, strict=True))
    for index, share_of_its_own in own.items():
        kept[index] = max(groups[index].least, groups[index].units - round(groups[index].units * share_of_its_own))
    multiple = step.round_to if step.granularity in ("channel", "mlp") else 1
    return [rounded(kept[index], group, multiple) for index, group in enumerate(groups)]


def own_ratios(groups: list[Group], table: dict[str, float], others: list[str]) -> dict[int, float]:
    """The ratio of each group that the table names, by the group's place; of several, the lowest.

    Parameters
    ----------
    groups : list of Group
    table : dict of str to float
        By the name of a layer.
    others : list of str
        Names of layers that can't be pruned; a ratio of 0 is all that they can have.

    Raises
    ------
    WorkbenchError
        If a layer isn't there, can't be pruned at all, or is a block that is to go in part.
    """
    known = {name: index for index, group in enumerate(groups) for name in (group.name, *group.layers)}
    own: dict[int, float] = {}
    for name, ratio in table.items():
        if name not in known and name not in others:
            raise WorkbenchError(f"This model has no layer '{name}' to prune.", nearest(name, [*known, *others]))
        if name in others and name not in known and ratio > 0:
            raise WorkbenchError(f"The layer '{name}' can't be pruned here.", f"Choose from: {', '.join(known)}.")
        if name in known:
            index = known[name]
            if ratio > 0 and groups[index].units == 1:
                raise WorkbenchError(f"'{name}' goes whole or stays.", "Give it 0 to keep it.")
            own[index] = min(ratio, own.get(index, 1.0))
    return own


def rounded(kept: int, group: Group, multiple: int) -> int:
    """The nearest multiple that the group can keep; all, where it has less than one."""
    if multiple == 1 or kept == group.units or group.units < multiple:
        return group.units if group.units < multiple else kept
    return min(max(multiple * round(kept / multiple), multiple), group.units // multiple * multiple)
