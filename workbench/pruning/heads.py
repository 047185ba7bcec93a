"""Heads of attention cut out (Michel et al. 2019, arXiv 1905.10650)."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workbench.pruning.attention import Attention, attentions
from workbench.pruning.groups import Edit, Group, Member
from workbench.pruning.headed import HeadedAttention


@dataclass
class HeadGroup(Group):
    """The heads of one attention."""

    def edit(self, units: list[int]) -> Edit:
        return {"edit": "heads", "attention": self.name, "heads": sorted(units)}


def head_groups(module: nn.Module, example: Tensor) -> tuple[list[Group], list[str]]:
    """Every attention whose heads can be cut, and the names of those where that changes more than the head.

    Without a head the model has to answer just as if nothing took that head in; where it doesn't, its code counts its
    heads in a way that a cut would break.
    """
    found: list[Group] = []
    left: list[str] = []
    for attention in attentions(module):
        group = HeadGroup(attention.name, attention.layers, attention.heads, _members(attention))
        exact = attention.heads == 1 or _exact(module, example, group)
        if exact:
            found.append(group)
        else:
            left.append(attention.name)
    return found, left


def cut_heads(module: nn.Module, example: Tensor, edits: Iterable[Edit]) -> None:
    """Make edits of heads, in place."""
    for edit in edits:
        attention = next(a for a in attentions(module) if a.name == edit["attention"])
        gone = set(edit["heads"])
        kept = torch.tensor([head for head in range(attention.heads) if head not in gone])
        for member in _members(attention):
            owner = module.get_submodule(member.parameter.rpartition(".")[0])
            _keep(owner, member.parameter.rpartition(".")[2], member.dim, member.index[kept].flatten().sort().values)
            if member.role == "out":
                bias = "in_proj_bias" if member.parameter.endswith("in_proj_weight") else "bias"
                _keep(owner, bias, 0, member.index[kept].flatten().sort().values)
        _recount(module, attention, len(kept))


def _members(attention: Attention) -> list[Member]:
    heads = torch.arange(attention.heads * attention.width).view(attention.heads, attention.width)
    members = []
    for parameter, parts in attention.parts:
        index = torch.cat([heads + part * heads.numel() for part in range(parts)], dim=1)
        layer = parameter.removesuffix(".weight").removesuffix("in_proj_weight").removesuffix(".")
        members.append(Member("out", layer, parameter, 0, index, index))
    return [*members, Member("in", attention.output, f"{attention.output}.weight", 1, heads, heads)]


def _keep(owner: nn.Module, name: str, dim: int, positions: Tensor) -> None:
    parameter = getattr(owner, name, None)
    if parameter is not None:
        setattr(owner, name, nn.Parameter(parameter.detach().index_select(dim, positions), parameter.requires_grad))
    if isinstance(owner, nn.Linear):
        owner.out_features, owner.in_features = owner.weight.shape


def _recount(module: nn.Module, attention: Attention, heads: int) -> None:
    part = module.get_submodule(attention.name)
    if isinstance(part, nn.MultiheadAttention):
        inputs, bias = part.embed_dim, part.in_proj_bias is not None
        narrow = HeadedAttention(heads, attention.width, inputs, bias, part.batch_first)
        narrow.in_proj_weight, narrow.in_proj_bias = part.in_proj_weight, part.in_proj_bias
        narrow.out_proj = part.out_proj
        owner, _, child = attention.name.rpartition(".")
        setattr(module.get_submodule(owner), child, narrow.train(part.training))
    else:
        setattr(part, attention.count, heads)


def _exact(module: nn.Module, example: Tensor, group: Group) -> bool:
    """Whether the first head's absence is all that its cut changes."""
    cut = copy.deepcopy(module).eval()
    try:
        cut_heads(cut, example, [group.edit([0])])
        with torch.no_grad(), group.without(module, 0):
            return torch.allclose(cut(example), module(example), rtol=1e-3, atol=1e-4)
    except Exception:  # a cut that breaks a model may raise anything, in its own code too
        return False
