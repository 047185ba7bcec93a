"""Which layer of the student imitates which of the teacher, and what they put out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError, nearest


class Pair(NamedTuple):
    """A layer of the student, one of the teacher, and the shapes of their outputs, the batch left out."""

    student: str
    teacher: str
    student_shape: tuple[int, ...]
    teacher_shape: tuple[int, ...]


def pair_layers(student: nn.Module, teacher: nn.Module, example: Tensor, wanted: str) -> list[Pair]:
    """The pairs in the order of the computation.

    Parameters
    ----------
    wanted : str
        ``auto`` pairs, for each size in space that both know, the last layers that put out something of that size, as
        Zagoruyko and Komodakis 2017 do; the logits are left out. ``student:teacher, ...`` names the pairs.

    Raises
    ------
    WorkbenchError
        If a name is unknown, or no size is common to both.
    """
    ours, theirs = _shapes(student, example), _shapes(teacher, example)
    if wanted != "auto":
        return [_named(entry, ours, theirs) for entry in wanted.split(",")]
    last = {_place(shape): name for name, shape in theirs.items()}
    found = {
        _place(shape): Pair(name, last[_place(shape)], shape, theirs[last[_place(shape)]])
        for name, shape in ours.items()
        if _place(shape) in last
    }
    if not found:
        raise WorkbenchError(
            "No layers of the student and of the teacher put out anything of equal size.",
            "Name the pairs, as in pairs: relu1:relu1, relu2:relu2.",
        )
    return list(found.values())


@contextmanager
def outputs(module: nn.Module, names: list[str]) -> Iterator[dict[str, Tensor]]:
    """Inside, what these layers put out in the latest forward pass, by name."""
    seen: dict[str, Tensor] = {}
    handles = [module.get_submodule(name).register_forward_hook(_keep(seen, name)) for name in names]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def alike(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (N, C, H, W) averaged to the smaller size of both; anything else as it is."""
    if one.ndim == other.ndim == 4 and one.shape[2:] != other.shape[2:]:
        size = min(one.shape[2], other.shape[2]), min(one.shape[3], other.shape[3])
        return F.adaptive_avg_pool2d(one, size), F.adaptive_avg_pool2d(other, size)
    return one, other


def _named(entry: str, ours: dict[str, tuple[int, ...]], theirs: dict[str, tuple[int, ...]]) -> Pair:
    student, colon, teacher = (part.strip() for part in entry.partition(":"))
    if not colon:
        raise WorkbenchError(f"'{entry.strip()}' names no pair of layers.", "Write student:teacher.")
    for name, known, whose in ((student, ours, "student"), (teacher, theirs, "teacher")):
        if name not in known:
            raise WorkbenchError(f"The {whose} has no layer called '{name}'.", nearest(name, list(known)))
    return Pair(student, teacher, ours[student], theirs[teacher])


def _shapes(module: nn.Module, example: Tensor) -> dict[str, tuple[int, ...]]:
    """By name, in the order of completion, the shape that each layer puts out; not the model's own output."""
    with torch.no_grad(), outputs(module.eval(), [name for name, _ in module.named_modules() if name]) as seen:
        logits = module(example)
    return {name: tuple(tensor.shape[1:]) for name, tensor in seen.items() if tensor is not logits}


def _place(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without the channels: () for (C,), (T,) for tokens (T, C), (H, W) for maps (C, H, W)."""
    return shape[:-1] if len(shape) == 2 else shape[1:]


def _keep(seen: dict[str, Tensor], name: str) -> Callable[[nn.Module, tuple, object], None]:
    def hook(layer: nn.Module, inputs: tuple, output: object) -> None:
        if isinstance(output, Tensor):
            seen.pop(name, None)
            seen[name] = output

    return hook
