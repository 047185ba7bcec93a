"""Ways to round a layer's weight, as a matrix, onto its grid."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from workbench.quantization.adaround import adaround
from workbench.quantization.gptq import gptq
from workbench.quantization.grid import Grid
from workbench.quantization.layers import Layer, columns, run, watching

# (weight (outputs, inputs), its grid, the inputs' second moments (inputs, inputs)) -> rounded weight
Rounding = Callable[[Tensor, Grid, Tensor], Tensor]


def nearest(weight: Tensor, grid: Grid, moments: Tensor) -> Tensor:
    """Each weight by itself, to the nearest value: ``s * clip(round(w / s), low, high)``, s the scale of its grid.

    References
    ----------
    Nagel et al.: A White Paper on Neural Network Quantization, 2021 (arXiv 2106.08295), section 2.
    """
    return grid.nearest(weight)


ROUNDINGS: dict[str, Rounding] = {"nearest": nearest, "adaround": adaround, "gptq": gptq}


def second_moments(module: nn.Module, name: str, layer: Layer, batches: Iterable[Tensor]) -> Tensor:
    """The mean of x x^T over what flows into a layer that is a matrix, shape (inputs, inputs)."""
    size = layer.weight[0].numel()
    total, count = torch.zeros(size, size), 0

    def see(name: str, inputs: Tensor, outputs: Tensor) -> None:
        nonlocal count
        rows = columns(layer, inputs)
        total.addmm_(rows.T, rows)
        count += len(rows)

    with watching({name: layer}, see):
        run(module, batches)
    return total / max(count, 1)
