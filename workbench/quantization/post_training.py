"""Quantize a model as it is: fold, equalize, choose grids, round, correct biases."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.estimates import Estimate
from workbench.evaluation import task_of
from workbench.on_device import runtime_of
from workbench.quantization.activations import DynamicGrid, Inputs, observe
from workbench.quantization.aware import OnGrids
from workbench.quantization.bias_correction import correct_bias, mean_outputs
from workbench.quantization.equalization import equalize
from workbench.quantization.folding import fold
from workbench.quantization.grid import Grid
from workbench.quantization.grids import weight_grid
from workbench.quantization.layer_times import layer_times, measured, without_grids
from workbench.quantization.layers import Layer, graph_of, in_order_of_use, is_a_matrix, weight_name, weighted
from workbench.quantization.mixed import allocate, sensitivity
from workbench.quantization.rounding import ROUNDINGS, second_moments
from workbench.quantization.smoothing import smooth
from workbench.quantization.ternary import ternary
from workbench.steps.base import Context, Work
from workbench.steps.quantize import BLOCK, FLOATS, Quantize

BATCH = 64


def quantize(work: Work, step: Quantize, context: Context) -> None:
    """Bring the weights onto their grids, choose those of what flows between, and lay them on every later training."""
    module = work.module.to("cpu").eval()
    real = context.runtime.computes(step) if context.runtime else not step.simulate
    every = weighted(module)
    most = context.runtime.safe_bits(step, context.device) if context.runtime and real else 16
    _check(step, every)
    samples = context.dataset.calibration.inputs[: step.calibration_samples]
    batches = list(torch.from_numpy(context.dataset.prepare(samples)).split(BATCH))
    layers = weighted(module, linear_only=step.mode != "static")
    layers = {name: layers[name] for name in in_order_of_use(module, layers, batches[0][:1])}

    _fold(work)
    if step.equalize:
        work.notes.append(f"Equalized {equalize(module)} pairs of layers.")
    if step.smoothing > 0:
        work.notes.append(f"Smoothed what follows {smooth(module, batches, step.smoothing)} layer-norms.")
    activations = _activations(step, module, layers, batches)
    bits = _bits(work, step, context, layers, batches, activations)
    layers = {name: layer for name, layer in layers.items() if bits[name] != FLOATS}
    if not layers:
        work.notes.append("Every layer stays in floats, so that nothing is quantized.")
        return
    means = mean_outputs(module, layers, batches) if step.bias_correction else {}
    work.activations = {name: grid for name, grid in activations.items() if name in layers}

    latents = {}
    for done, (name, layer) in enumerate(layers.items()):  # each sees what the ones before it now give
        context.report(share=done / len(layers), message=f"Rounding {name} to {bits[name]} bits")
        before = layer.weight.detach().clone()
        grid, rounded = _rounded(work, step, name, layer, min(bits[name], most), batches)
        with torch.no_grad():
            layer.weight.copy_(rounded)
        work.grids[weight_name(name)] = grid
        # training goes on from the floats, but for those that were rounded to another than their nearest
        latents[weight_name(name)] = torch.where(grid.nearest(before) == rounded, before, rounded), rounded
        if name in means and not correct_bias(module, name, layer, batches, means[name]):
            work.notes.append(f"{name} has no bias to correct.")

    if real and any(bits[name] > most for name in layers):
        work.notes.append(
            f"Of 8 bits, the weights use {most}: this processor lacks VNNI, and its kernels add pairs of products in 16"
            " bits, which larger weights would overflow."
        )
    work.quantization = step
    # first, so that zeros that rounding made are not taken for pruned ones
    work.constraints = {"quantized": OnGrids(work.grids, work.activations, step.ternary, latents), **work.constraints}
    if len(layers) < len(every) and step.mode != "static":
        work.notes.append(f"Quantized {step.mode}: linear layers only; convolutions stay 32-bit floats.")
    if not real:
        work.simulated.append(_simulated(work, step, context, bits))


def _check(step: Quantize, every: dict[str, Layer]) -> None:
    if not every:
        raise WorkbenchError("This model has no convolution and no linear layer to quantize.", "Remove Quantize.")
    unknown = [name for name in step.layers if name not in every]
    if unknown:
        raise WorkbenchError(
            f"The model has no layer called '{unknown[0]}' to quantize.", f"Its layers are: {', '.join(every)}."
        )


def _fold(work: Work) -> None:
    if graph_of(work.module) is not None:
        fold(work.module)
    elif any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in work.module.modules()):
        work.notes.append("Batch-norms were not folded, as the model's code can't be traced.")


def _ends(layers: dict[str, Layer]) -> tuple[str, ...]:
    return (next(iter(layers)), next(reversed(layers))) if layers else ()


def _activations(
    step: Quantize, module: nn.Module, layers: dict[str, Layer], batches: list[Tensor]
) -> dict[str, Inputs]:
    """What flows into each layer is rounded to, where it is rounded at all."""
    if step.activation_bits == FLOATS or step.mode == "weight-only":
        return {}
    bits = {name: 8 if step.keep_ends and name in _ends(layers) else step.activation_bits for name in layers}
    if step.mode == "dynamic":
        return {name: DynamicGrid(width) for name, width in bits.items()}
    return {**observe(module, layers, batches, bits, step.observer)}


def _bits(
    work: Work,
    step: Quantize,
    context: Context,
    layers: dict[str, Layer],
    batches: list[Tensor],
    activations: dict[str, Inputs],
) -> dict[str, int]:
    """How many bits each layer's weights get."""
    fixed = dict.fromkeys(_ends(layers), 8) if step.keep_ends else {}
    fixed |= {name: asked for name, asked in step.layers.items() if name in layers}
    if step.latency_budget:
        return _fast_enough(work, step, context, layers, batches, activations, fixed)
    if not step.chooses:
        return dict.fromkeys(layers, step.weight_bits) | fixed
    here = context.runtime.widths(step) if context.runtime else step.widths
    candidates = sorted(step.candidates & here)
    widths = {name: (fixed[name],) if name in fixed else candidates for name in layers}
    costs = sensitivity(
        work.module,
        layers,
        batches,
        widths,
        step.granularity,
        context.report,
        task=task_of(context.dataset),
        block=_block(step),
    )
    sizes = {name: layer.weight.numel() for name, layer in layers.items()}
    budget = step.average_bits * sum(sizes.values())
    if step.byte_budget:
        scales = sum(
            weight_grid(x.weight, 8, "minmax", step.granularity, _block(step)).scale.numel() for x in layers.values()
        )
        budget = 8 * step.byte_budget - FLOATS * scales
        least = sum(size * min(widths[name]) for name, size in sizes.items()) + FLOATS * scales
        if least > 8 * step.byte_budget:
            raise WorkbenchError(
                f"No choice of bits keeps to {step.byte_budget:,} bytes.", f"Allow at least {-(-least // 8):,}."
            )
    bits = allocate(costs, sizes, budget)
    work.notes.append("Bits by layer: " + ", ".join(f"{name} {width}" for name, width in bits.items()) + ".")
    return bits


def _fast_enough(
    work: Work,
    step: Quantize,
    context: Context,
    layers: dict[str, Layer],
    batches: list[Tensor],
    activations: dict[str, Inputs],
    fixed: dict[str, int],
) -> dict[str, int]:
    """Which layers become integers and which stay floats, for the latency that the step asks for."""
    context.report(message="Timing each layer in floats and in integers")
    plain = {"latency_budget": 0.0, "layers": {}, "rounding": "nearest", "equalize": False, "smoothing": 0.0}
    floats = without_grids(work)
    integers = replace(without_grids(work), module=copy.deepcopy(work.module))
    quantize(integers, step.model_copy(update={**plain, "bias_correction": False}), context)
    times = layer_times(floats, integers, step.weight_bits, context)
    widths = {name: (fixed[name],) if name in fixed else (step.weight_bits, FLOATS) for name in layers}
    task = task_of(context.dataset)
    costs = sensitivity(work.module, layers, batches, widths, step.granularity, context.report, activations, task)
    allowed, tried = step.latency_budget, list[Estimate]()
    while True:
        try:
            chosen = times.choose(costs, allowed)
        except WorkbenchError:
            if not tried:
                raise
            raise WorkbenchError(
                f"The latency can't get down to {step.latency_budget:.0%}: of the choices of integers and floats that "
                f"were exported and timed, the fastest takes {min(share.value for share in tried):.0%} of the floats'.",
                "Allow more, or set latency_budget to 0.",
            ) from None
        integers = replace(without_grids(work), module=copy.deepcopy(work.module))
        quantize(integers, step.model_copy(update={**plain, "bias_correction": False, "layers": chosen}), context)
        share = measured(floats, integers, context)
        tried.append(share)
        if share.value <= step.latency_budget:
            break
        # by the profiler it was fast enough: what comes on top has to be left room for
        allowed = min(allowed * step.latency_budget / share.value, times.share(chosen) - 1e-6)
    left = [name for name, bits in chosen.items() if bits == FLOATS]
    work.notes.append(
        f"Left in floats: {', '.join(left) or 'no layer'}. So it takes {share.value:.0%} [{share.low:.0%}, "
        f"{share.high:.0%}] of the floats' latency: exported and timed on {runtime_of(context).title}, the "
        f"{len(tried)}. choice; measured again, it may come out a little different."
    )
    return chosen


def _block(step: Quantize) -> int:
    """How many inputs of an output share a scale; 0 where all do. What is simulated is what kernels would compute."""
    return BLOCK if step.mode == "weight-only" else 0


def _rounded(
    work: Work, step: Quantize, name: str, layer: Layer, bits: int, batches: Sequence[Tensor]
) -> tuple[Grid, Tensor]:
    """A layer's grid, and its weight on it."""
    weight = layer.weight.detach().clone()
    if step.ternary and bits == 2:
        codes, grid = ternary(weight, step.granularity)
        return grid, grid.values(codes)
    grid = weight_grid(weight, bits, step.weight_observer, step.granularity, _block(step))
    if step.rounding == "nearest":
        return grid, grid.nearest(weight)
    if not is_a_matrix(layer):
        work.notes.append(f"{name} was rounded to the nearest, as it is no plain matrix product.")
        return grid, grid.nearest(weight)
    rounded = ROUNDINGS[step.rounding](weight.flatten(1), grid, second_moments(work.module, name, layer, batches))
    return grid, rounded.reshape(weight.shape)


def _simulated(work: Work, step: Quantize, context: Context, bits: dict[str, int]) -> str:
    widths = "/".join(map(str, sorted(set(bits.values()) - {FLOATS})))
    inputs = f" and {step.activation_bits}-bit activations" if work.activations else ""
    where = f"the runtime '{context.runtime.name}' has no" if context.runtime else "no runtime here has"
    return f"{widths}-bit weights{inputs}, for which {where} kernels: rounded as they would be, but computed as floats."
