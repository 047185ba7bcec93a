"""Single weights set to zero, by torch's own masks."""

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from workbench.constraints import KeepZeros
from workbench.errors import WorkbenchError
from workbench.pruning.gradients import accumulate_gradients
from workbench.steps.base import Context, Work
from workbench.steps.prune import Prune


def prune_weights(work: Work, step: Prune, context: Context) -> None:
    """Zero the least important weights of every convolution and linear layer; biases stay.

    The ratio counts zeros that are there already, so that pruning twice by the same ratio changes nothing more.
    L1 and L2 order single weights alike; Taylor scores a weight w with gradient g as ``|w g|``.
    """
    layers = {
        name: layer
        for name, layer in work.module.named_modules()
        if isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd))
    }
    if not layers:
        raise WorkbenchError("This model has no convolution and no linear layer to prune.", "Remove Prune.")
    if step.importance == "taylor":
        accumulate_gradients(work.module, context.dataset)
    generator = torch.Generator().manual_seed(context.seed)
    scores = {(layer, "weight"): _score(layer.weight, step.importance, generator) for layer in layers.values()}
    groups = [list(scores)] if step.scope == "global" else [[key] for key in scores]
    for group in groups:
        prune.global_unstructured(
            group,
            pruning_method=prune.L1Unstructured,
            importance_scores={key: scores[key] for key in group},
            amount=step.ratio,
        )
    for layer in layers.values():
        prune.remove(layer, "weight")
    work.constraints["zeros"] = KeepZeros(f"{name}.weight" if name else "weight" for name in layers)
    work.module.zero_grad()
    work.notes.append(
        "Zeros are stored and computed like any other number, so the file is as large and as fast as before."
    )


def _score(weight: Tensor, importance: str, generator: torch.Generator) -> Tensor:
    weight, gradient = weight.detach(), weight.grad
    if importance == "random":
        score = torch.rand(weight.shape, generator=generator)
    elif importance == "taylor" and gradient is not None:
        score = (weight * gradient).abs()
    else:
        score = weight.abs()
    # what is zero already is the first to go, even before what has no effect at all
    return score.clamp(min=torch.finfo(score.dtype).tiny) * (weight != 0)
