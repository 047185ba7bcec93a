"""Whole blocks taken out: depth."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from workbench.pruning.groups import Edit, Group, Member


class Skip(nn.Module):
    """What stands where a block was: its first input is its output, which of a residual block leaves the shortcut."""

    def forward(self, x: Tensor, *rest: Any, **named: Any) -> Tensor:
        return x


@dataclass
class BlockGroup(Group):
    """One block: it goes whole, or stays."""

    def edit(self, units: list[int]) -> Edit:
        return {"edit": "block", "block": self.name}

    @contextmanager
    def without(self, module: nn.Module, *units: int) -> Iterator[None]:
        handle = module.get_submodule(self.name).register_forward_hook(lambda block, inputs, output: inputs[0])
        try:
            yield
        finally:
            handle.remove()


def block_groups(module: nn.Module, example: Tensor) -> tuple[list[Group], list[str]]:
    """Every block that can be left out: an element of a list of layers, of several, whose output is like its input.

    It computes with at least one weight of two or more dimensions, and is no single layer. Of blocks inside each other
    the innermost count.

    References
    ----------
    Chen, Zhao: Shallowing Deep Networks: Layer-Wise Pruning Based on Feature Representations, 2019 (IEEE TPAMI). Veit
    et al.: Residual Networks Behave Like Ensembles of Relatively Shallow Networks, 2016 (arXiv 1605.06431), for why a
    residual network does without single blocks.
    """
    like = _like_their_input(module, example)
    names = [name for name in like if not any(other.startswith(f"{name}.") for other in like)]
    groups: list[Group] = []
    for name in names:
        block = module.get_submodule(name)
        members = []
        for key, parameter in block.named_parameters():
            if parameter.ndim > 1:
                layer = f"{name}.{key}".rpartition(".")[0]
                whole = torch.arange(parameter.shape[0])[None]
                members.append(Member("out", layer, f"{name}.{key}", 0, whole, whole))
        groups.append(BlockGroup(name, tuple(m.layer for m in members), 1, members, (type(block).__name__,), least=0))
    return groups, []


def cut_blocks(module: nn.Module, example: Tensor, edits: Iterable[Edit]) -> None:
    """Make edits of blocks, in place."""
    for edit in edits:
        owner, _, child = edit["block"].rpartition(".")
        setattr(module.get_submodule(owner), child, Skip())


def _like_their_input(module: nn.Module, example: Tensor) -> list[str]:
    """Names of the elements of lists that run once, and give a tensor of their input's shape."""
    runs: dict[str, list[bool]] = {}
    with ExitStack() as stack:
        for name, part in module.named_modules():
            inside = isinstance(module.get_submodule(name.rpartition(".")[0]), (nn.Sequential, nn.ModuleList))
            if not name or not inside or not list(part.children()) or not any(p.ndim > 1 for p in part.parameters()):
                continue

            def hook(_: nn.Module, inputs: tuple, output: Any, name: str = name) -> None:
                tensors = bool(inputs) and isinstance(inputs[0], Tensor) and isinstance(output, Tensor)
                runs.setdefault(name, []).append(tensors and inputs[0].shape == output.shape)

            stack.callback(part.register_forward_hook(hook).remove)
        with torch.no_grad():
            module.eval()(example)
    return [name for name, alike in runs.items() if alike == [True]]
