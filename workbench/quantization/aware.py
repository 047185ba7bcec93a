"""Quantization-aware training: what holds while a quantized model is trained further."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from workbench.constraints import Constraint, parametrized, plain_parameters
from workbench.quantization.activations import DynamicGrid, Inputs
from workbench.quantization.binary import BinaryGrid
from workbench.quantization.grid import Grid
from workbench.quantization.grids import refit
from workbench.quantization.layers import weight_name
from workbench.quantization.learned import LearnedGrid
from workbench.quantization.ternary import TernaryGrid

Rounded = LearnedGrid | BinaryGrid | TernaryGrid


class OnGrids(Constraint):
    """Weights, and what flows into layers, that lie on grids whose scales are learned.

    Parameters
    ----------
    grids : dict of str to Grid
        By the parameter's name; brought up to date when it lets go.
    activations : dict of str to Grid or DynamicGrid
        By the layer's name; brought up to date too. What is laid anew at every pass learns nothing.
    ternary : bool
        Whether two bits mean -1, 0 and 1.
    latents : dict of str to (torch.Tensor, torch.Tensor)
        For each parameter its floats before rounding, and what they were rounded to: training goes on from the floats
        wherever the weight is still that.
    """

    def __init__(
        self,
        grids: dict[str, Grid],
        activations: dict[str, Inputs],
        ternary: bool = False,
        latents: dict[str, tuple[Tensor, Tensor]] | None = None,
    ):
        self.grids, self.activations, self.ternary = grids, activations, ternary
        self.latents = latents if latents is not None else {}

    @contextmanager
    def held(self, module: nn.Module) -> Iterator[None]:
        device = next(module.parameters()).device
        refit(plain_parameters(module), self.grids)
        weights = {name: weight for name, weight in plain_parameters(module).items() if name in self.grids}
        ways = {name: self._way(name, weight).to(device) for name, weight in weights.items()}
        self._take_up_latents(weights)
        used = {name: grid for name, grid in self.activations.items() if weight_name(name) in weights}
        inputs = {name: LearnedGrid(grid).to(device) for name, grid in used.items() if isinstance(grid, Grid)}
        with ExitStack() as stack:
            for name, learned in inputs.items():
                stack.enter_context(_learning_input(module.get_submodule(name), learned))
            for name, grid in used.items():
                if isinstance(grid, DynamicGrid):
                    hook = partial(_round_straight, grid)
                    stack.callback(module.get_submodule(name).register_forward_pre_hook(hook).remove)
            stack.enter_context(parametrized(module, dict(ways)))
            yield
        for name, way in ways.items():
            self.grids[name] = way.grid
            if way.latent is not None:
                rounded = module.get_parameter(name).detach()
                self.latents[name] = way.latent.cpu().clone(), rounded.cpu().clone()
        for name, learned in inputs.items():
            self.activations[name] = learned.grid

    def zeroed(self, module: nn.Module) -> None:
        for name, (latent, rounded) in self.latents.items():
            weight = plain_parameters(module).get(name)
            if weight is not None and weight.shape == latent.shape:
                self.latents[name] = latent * (weight.detach().cpu() != 0), rounded

    def _way(self, name: str, weight: Tensor) -> Rounded:
        grid = self.grids[name]
        if grid.bits == 1:
            return BinaryGrid(grid)
        if self.ternary and grid.bits == 2:
            return TernaryGrid(grid)
        return LearnedGrid(grid, share=weight.numel() // max(1, grid.scale.numel()))

    @torch.no_grad()
    def _take_up_latents(self, weights: Mapping[str, Tensor]) -> None:
        for name, weight in weights.items():
            latent, rounded = self.latents.get(name, (None, None))
            if latent is not None and rounded is not None and latent.shape == weight.shape:
                latent, rounded = latent.to(weight.device), rounded.to(weight.device)
                weight.copy_(torch.where(weight == rounded, latent, weight))


@contextmanager
def _learning_input(layer: nn.Module, way: LearnedGrid) -> Iterator[None]:
    """Round a layer's input through a module that is the layer's own, so that optimizers find its scale."""
    layer.register_module("input_grid", way)
    handle = layer.register_forward_pre_hook(_round_input)
    try:
        yield
    finally:
        handle.remove()
        del layer.input_grid


def _round_input(layer: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    """By the layer's own grid: a copy of the model, such as its moving average, has one of its own."""
    return layer.input_grid(inputs[0])  # type: ignore[operator]


def _round_straight(grid: DynamicGrid, layer: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    """Gradients pass as if nothing was rounded: none of what makes the range lies outside of it."""
    (values,) = inputs
    return values + (grid.nearest(values) - values).detach()
