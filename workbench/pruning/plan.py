"""The structural edits of a recipe as plain data, and how they are made: at first, and again from a saved plan."""

from collections.abc import Callable, Iterable
from itertools import groupby

from torch import Tensor, nn

from workbench.errors import lookup
from workbench.pruning.blocks import cut_blocks
from workbench.pruning.channels import cut_channels
from workbench.pruning.groups import Edit
from workbench.pruning.heads import cut_heads

EDITS: dict[str, Callable[[nn.Module, Tensor, Iterable[Edit]], None]] = {
    "channels": cut_channels,
    "heads": cut_heads,
    "block": cut_blocks,
}


def replay(module: nn.Module, example: Tensor, plan: Iterable[Edit]) -> None:
    """Make the structural edits of `plan` on an unpruned module, in place and in their order.

    Parameters
    ----------
    module : torch.nn.Module
    example : torch.Tensor
        Prepared inputs, shape (N, ...).
    plan : iterable of dict
        Such as ``{"edit": "channels", "layer": "conv1", "indices": [0, 3]}``, ``{"edit": "heads", "attention":
        "encoder.0.attention", "heads": [1]}`` or ``{"edit": "block", "block": "blocks.4"}``. Indices count what the
        edits before have left.
    """
    for kind, edits in groupby(plan, key=lambda edit: edit["edit"]):
        lookup(EDITS, kind, "structural edit")(module, example, edits)
