"""What flows into a layer, seen on calibration samples and rounded to its grid."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workbench.quantization.grid import Grid, highest
from workbench.quantization.grids import activation_grid
from workbench.quantization.layers import Layer, run, watching

KEPT = 20_000  # values of each batch and layer that an observer looks at, beside the least and the largest


@dataclass(frozen=True)
class DynamicGrid:
    r"""A grid that is laid anew at every forward pass, from the least and the largest value in it.

    With :math:`l = \min(x, 0)` and :math:`h = \max(x, 0)` over the whole batch, and :math:`q = 2^b - 1`, the scale is
    :math:`s = (h - l) / q`, the zero point :math:`z = \lfloor -l / s \rceil`, and

    .. math:: \hat x = s \left( \mathrm{clip}(\lfloor x / s \rceil + z, 0, q) - z \right)

    One bit on values with a sign is -1 and 1 times their mean absolute value.

    Attributes
    ----------
    bits : int
        1 to 16.

    References
    ----------
    ONNX operator `DynamicQuantizeLinear`, whose arithmetic at 8 bits this is.
    """

    bits: int

    def nearest(self, values: Tensor) -> Tensor:
        """The values rounded to the grid that they make themselves; traced exports hold that too."""
        low, high = values.min().clamp(max=0), values.max().clamp(min=0)
        top = highest(self.bits, signed=False)
        scale = (high - low) / top
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        zero = torch.round(-low / scale)
        rounded = (torch.clamp(torch.round(values / scale) + zero, 0, top) - zero) * scale
        if self.bits > 1:
            return rounded
        size = values.abs().mean()
        return torch.where(low < 0, torch.where(values >= 0, size, -size), rounded)


Inputs = Grid | DynamicGrid


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
def rounded_inputs(module: nn.Module, grids: Mapping[str, Inputs]) -> Iterator[None]:
    """Inside, what flows into each named layer is rounded to its grid; traced exports hold that too."""
    with ExitStack() as stack:
        for name, layer in module.named_modules():
            if name in grids:
                stack.callback(layer.register_forward_pre_hook(_rounding(grids[name])).remove)
        yield


def _rounding(grid: Inputs):  # type: ignore[no-untyped-def]
    if isinstance(grid, DynamicGrid):
        return lambda layer, inputs: grid.nearest(inputs[0])
    scale = float(grid.scale)  # plain numbers, which exporters take for constants

    def hook(layer: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        codes = grid.round(inputs[0] / scale)
        return (codes - grid.zero_point) * scale

    return hook
