"""What flows into a layer, seen on calibration samples and rounded to its grid."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from workbench.quantization.grid import Grid
from workbench.quantization.layers import Layer, run, watching
from workbench.quantization.observers import activation_grid

KEPT = 20_000  # values of each batch and layer that an observer looks at, beside the least and the largest


def observe(
    module: nn.Module, layers: dict[str, Layer], batches: Iterable[Tensor], bits: dict[str, int], observer: str
) -> dict[str, Grid]:
    """The grid of each layer's input, by the layer's name, chosen by an observer from what these samples cause."""
    seen: dict[str, list[Tensor]] = {name: [] for name in layers}

    def see(name: str, inputs: Tensor, outputs: Tensor) -> None:
        values = inputs.reshape(-1)
        some = values[:: max(1, len(values) // KEPT)]
        seen[name].append(torch.cat([some, values.min().reshape(1), values.max().reshape(1)]))

    with watching(layers, see):
        run(module, batches)
    return {name: activation_grid(torch.cat(parts), bits[name], observer) for name, parts in seen.items() if parts}


@contextmanager
def rounded_inputs(module: nn.Module, grids: dict[str, Grid]) -> Iterator[None]:
    """Inside, what flows into each named layer is rounded to its grid; traced exports hold that too."""
    with ExitStack() as stack:
        for name, layer in module.named_modules():
            if name in grids:
                stack.callback(layer.register_forward_pre_hook(_rounding(grids[name])).remove)
        yield


def _rounding(grid: Grid):  # type: ignore[no-untyped-def]
    scale = float(grid.scale)  # plain numbers, which exporters take for constants

    def hook(layer: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        codes = grid.round(inputs[0] / scale)
        return (codes - grid.zero_point) * scale

    return hook
