"""The layers whose weights can be quantized, what flows into them, and how they follow each other."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

Layer = nn.Linear | nn.modules.conv._ConvNd


def weighted(module: nn.Module, linear_only: bool = False) -> dict[str, Layer]:
    """The convolutions and linear layers, by name, in the order of their declaration."""
    kinds = (nn.Linear,) if linear_only else (nn.Linear, nn.modules.conv._ConvNd)
    found = {name: layer for name, layer in module.named_modules() if isinstance(layer, kinds)}
    # a transposed convolution's first dimension is its inputs
    return {name: layer for name, layer in found.items() if not isinstance(layer, nn.modules.conv._ConvTransposeNd)}


def part(module: nn.Module, name: str) -> Any:
    """One part of a module, by name, whatever its kind."""
    return module.get_submodule(name)


def weight_name(layer: str) -> str:
    """The name of a layer's weight among the module's parameters."""
    return f"{layer}.weight" if layer else "weight"


@contextmanager
def watching(layers: dict[str, Layer], see: Callable[[str, Tensor, Tensor], None]) -> Iterator[None]:
    """Call ``see(name, input, output)`` whenever one of the layers is used."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        return lambda layer, inputs, output: see(name, inputs[0].detach(), output.detach())

    with ExitStack() as stack:
        for name, layer in layers.items():
            stack.callback(layer.register_forward_hook(hook(name)).remove)
        yield


@torch.no_grad()
def run(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Run the module in evaluation mode, for those who watch."""
    module.eval()
    for batch in batches:
        module(batch)


def in_order_of_use(module: nn.Module, layers: dict[str, Layer], batch: Tensor) -> list[str]:
    """The names of the layers that are used, in the order of their first use."""
    seen: dict[str, None] = {}
    with watching(layers, lambda name, inputs, output: seen.setdefault(name)):
        run(module, [batch])
    return list(seen)


def columns(layer: Layer, inputs: Tensor) -> Tensor:
    """A layer's inputs as the rows (places, inputs of one output) that its weight, as a matrix, is multiplied with."""
    if isinstance(layer, nn.Linear):
        return inputs.reshape(-1, layer.in_features)
    patches = F.unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # type: ignore[arg-type]
    return patches.transpose(1, 2).reshape(-1, patches.shape[1])


def is_a_matrix(layer: Layer) -> bool:
    """Whether the layer is one matrix product over its unfolded inputs: linear, or a plain 2-D convolution."""
    if isinstance(layer, nn.Linear):
        return True
    plain = isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.padding_mode == "zeros"
    return plain and not isinstance(layer.padding, str)


def graph_of(module: nn.Module) -> fx.Graph | None:
    """How the module's parts follow each other; None where its code can't be traced."""
    try:
        return fx.Tracer().trace(module)
    except Exception:  # tracing runs the user's code with stand-ins, which may raise anything
        return None
