"""Mixed precision: bits for each layer, under a budget of bits or time, by an exact integer program."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from scipy.optimize import Bounds, LinearConstraint, milp
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.evaluation import TASKS, Task
from workbench.quantization.activations import Inputs, rounded_inputs
from workbench.quantization.grids import weight_grid
from workbench.quantization.layers import Layer
from workbench.steps.quantize import FLOATS

Costs = Mapping[str, Mapping[int, float]]


def allocate(costs: Costs, sizes: Mapping[str, int], budget: float) -> dict[str, int]:
    r"""The bits of each layer that together cost least and take at most `budget` bits.

    Parameters
    ----------
    costs : mapping
        What each number of bits costs, by layer.
    sizes : mapping
        How many weights each layer has.
    budget : float
        Bits of all weights together.

    Raises
    ------
    WorkbenchError
        If not even the fewest bits everywhere keep to the budget.
    """
    takes = {layer: {bits: float(sizes[layer] * bits) for bits in table} for layer, table in costs.items()}
    chosen = cheapest(costs, takes, budget)
    if chosen is None:
        least = sum(sizes[layer] * min(table) for layer, table in costs.items()) / sum(sizes[name] for name in costs)
        raise WorkbenchError(
            "No choice of bits keeps to that average.",
            f"Allow an average of at least {least:.2f} bits for each weight.",
        )
    return chosen


def cheapest(costs: Costs, takes: Costs, budget: float) -> dict[str, int] | None:
    r"""The choice for each layer that together costs least and takes at most `budget`; None where there is none.

    Minimizes :math:`\sum_{l,b} c_{l,b} \, x_{l,b}` over binary x with :math:`\sum_b x_{l,b} = 1` for each layer and
    :math:`\sum_{l,b} t_{l,b} \, x_{l,b} \le B`, exactly.
    """
    choices = [(layer, bits) for layer, table in costs.items() for bits in table]
    one_each = np.array([[float(layer == name) for layer, _ in choices] for name in costs])
    taken = np.array([takes[layer][bits] for layer, bits in choices])
    result = milp(
        np.array([costs[layer][bits] for layer, bits in choices]),
        integrality=np.ones(len(choices)),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(taken, 0, budget)],
        options={"mip_rel_gap": 0.0},
    )
    if result.x is None:
        return None
    return {layer: bits for (layer, bits), chosen in zip(choices, result.x, strict=True) if chosen > 0.5}


@torch.no_grad()
def sensitivity(
    module: nn.Module,
    layers: Mapping[str, Layer],
    batches: Sequence[Tensor],
    widths: Mapping[str, Sequence[int]],
    granularity: str = "channel",
    report: Callable[..., None] = lambda **facts: None,
    inputs: Mapping[str, Inputs] | None = None,
    task: Task = TASKS["classification"],
    block: int = 0,
) -> dict[str, dict[int, float]]:
    r"""How much the answers change when one layer alone has so many bits.

    That is the mean of :math:`\mathrm{KL}(p \,\Vert\, p_{l,b})` between the answers as they are and with layer l at b
    bits, its inputs rounded too if they have a grid in `inputs`, over the samples; of a regression it is the mean
    squared difference. At 32 bits nothing changes.
    """
    module.eval()
    before = [module(batch) for batch in batches]
    count = sum(len(batch) for batch in batches)
    costs: dict[str, dict[int, float]] = {}
    for done, (name, layer) in enumerate(layers.items()):
        report(share=done / len(layers), message=f"How much {name} suffers from fewer bits")
        weight = layer.weight.clone()
        costs[name] = {}
        own = {name: inputs[name]} if inputs and name in inputs else {}
        for bits in widths[name]:
            if bits == FLOATS:
                costs[name][bits] = 0.0
                continue
            layer.weight.copy_(weight_grid(weight, bits, "mse", granularity, block).nearest(weight))
            total = 0.0
            with rounded_inputs(module, own):
                for batch, expected in zip(batches, before, strict=True):
                    total += len(batch) * float(task.imitation(module(batch), expected, "soft", 1.0))
            costs[name][bits] = max(total / count, 0.0)
        layer.weight.copy_(weight)
    return costs
