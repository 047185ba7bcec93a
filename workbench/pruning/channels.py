"""Channels, and all that depends on them, by torch-pruning's dependency graph (the one file that imports it)."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch_pruning as tp

from workbench.pruning.attention import attentions
from workbench.pruning.groups import Edit, Group, Member, least

Layer = nn.Linear | nn.modules.conv._ConvNd


@dataclass
class ChannelGroup(Group):
    """Channels that can only go together in every layer that computes them or takes them in.

    Attributes
    ----------
    repeats : int
        A unit is the same channel of each of so many equal parts (grouped convolutions and norms).
    """

    repeats: int = 1

    def edit(self, units: list[int]) -> Edit:
        indices = [unit + part * self.units for part in range(self.repeats) for unit in units]
        return {"edit": "channels", "layer": self.name, "indices": sorted(indices)}


def channel_groups(module: nn.Module, example: Tensor) -> tuple[list[Group], list[str]]:
    """Every group of channels but the model's outputs, and the layers left alone as attention counts on their width.

    Parameters
    ----------
    module : torch.nn.Module
    example : torch.Tensor
        Prepared inputs, shape (N, ...).
    """
    graph = _graph(module, example)
    names = {layer: name for name, layer in module.named_modules()}
    inner = {name for attention in attentions(module) for name in attention.layers}
    found: list[Group] = []
    left: list[str] = []
    for group in graph.get_all_groups(root_module_types=[nn.modules.conv._ConvNd, nn.Linear]):
        members = [member for item in group for member in _members(graph, names, group, item)]
        outs = tuple(dict.fromkeys(member.layer for member in members if member.role == "out"))
        if not any(member.role == "in" for member in members):
            continue  # what nothing takes in is an output
        if set(outs) & inner or any(isinstance(item.dep.layer, nn.MultiheadAttention) for item in group):
            left += outs
            continue
        repeats = _repeats(graph, group)
        units = len(group[0].idxs) // repeats
        shape = tuple((type(dep.layer).__name__, graph.is_out_channel_pruning_fn(dep.handler)) for dep, _ in group)
        found.append(ChannelGroup(names[group[0].dep.layer], outs, units, members, shape, least(units), repeats))
    return found, left


def mlp_groups(module: nn.Module, example: Tensor) -> tuple[list[Group], list[str]]:
    """The hidden widths alone: what one linear layer computes and only linear layers take in.

    References
    ----------
    McCarley, Chakravarti, Sil: Structured Pruning of a BERT-based Question Answering Model, 2019 (arXiv 1910.06360),
    for the hidden widths of a transformer's feed-forward layers.
    """
    groups, left = channel_groups(module, example)
    layers = dict(module.named_modules())
    return [
        group
        for group in groups
        if len(group.layers) == 1
        and all(isinstance(layers[member.layer], nn.Linear) for member in group.members if member.role in ("out", "in"))
    ], left


def cut_channels(module: nn.Module, example: Tensor, edits: Iterable[Edit]) -> None:
    """Make edits of channels, in place."""
    graph = _graph(module, example)
    for edit in edits:
        _group(graph, module.get_submodule(edit["layer"]), edit["indices"]).prune(record_history=False)


def _graph(module: nn.Module, example: Tensor) -> "tp.DependencyGraph":
    with warnings.catch_warnings(action="ignore"):
        return tp.DependencyGraph().build_dependency(module.eval(), example_inputs=example)


def _group(graph: "tp.DependencyGraph", layer: nn.Module, channels: list[int]) -> "tp.dependency.Group":
    return graph.get_pruning_group(layer, graph.get_pruner_of_module(layer).prune_out_channels, channels)


def _repeats(graph: "tp.DependencyGraph", group: "tp.dependency.Group") -> int:
    """Into how many equal parts the strictest layer of the group divides its channels."""
    counts = [1]
    for dep, _ in group:
        pruner = graph.get_pruner_of_module(dep.layer)
        if pruner is None or _depthwise(dep.layer):
            continue
        out = graph.is_out_channel_pruning_fn(dep.handler)
        counts.append((pruner.get_out_channel_groups if out else pruner.get_in_channel_groups)(dep.layer))
    return max(counts)


def _depthwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.modules.conv._ConvNd) and layer.groups == layer.out_channels


def _members(graph: "tp.DependencyGraph", names: dict, group: "tp.dependency.Group", item: object) -> list[Member]:
    """The weight that one item of a group cuts, if it has one and its slices belong to single units."""
    layer, handler, roots = item.dep.layer, item.dep.handler, item.root_idxs  # type: ignore[attr-defined]
    weight = getattr(layer, "weight", None)
    if layer not in names or not isinstance(weight, nn.Parameter) or any(root is None for root in roots):
        return []
    out = graph.is_out_channel_pruning_fn(handler)
    if isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd)):
        role, dim = ("out", 0) if out else ("in", 1)
        dim = 1 - dim if getattr(layer, "transposed", False) else dim
    else:
        role, dim = ("scale" if isinstance(layer, nn.modules.batchnorm._BatchNorm) else "norm"), weight.ndim - 1
    units = len(group[0].idxs) // _repeats(graph, group)
    of = torch.tensor(roots) % units
    if len(set(torch.bincount(of, minlength=units).tolist())) != 1:
        return []
    channels = torch.tensor(item.idxs)[of.argsort(stable=True)].view(units, -1)  # type: ignore[attr-defined]
    name = names[layer]
    return [Member(role, name, f"{name}.weight" if name else "weight", dim, channels % weight.shape[dim], channels)]
