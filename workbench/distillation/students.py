"""Who learns: the model as it stands, the same with fresh weights, or another architecture of the zoo."""

import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.models import fresh_model
from workbench.steps.base import Context, Work


def prepare_student(work: Work, name: str, fresh: bool, context: Context) -> None:
    """Put the student into `work`: another architecture has fresh weights anyway.

    Raises
    ------
    WorkbenchError
        If that would undo what earlier steps did.
    """
    if name == "same" and not fresh:
        return
    if work.constraints or work.grids or (work.plan and name != "same"):
        raise WorkbenchError(
            "A student with fresh weights would undo what earlier steps did to this model.",
            "Let Distill come first, or leave student at 'same' and fresh off.",
        )
    torch.manual_seed(context.seed)
    if name != "same":
        work.module, work.architecture = fresh_model(name, context.dataset), name
        return
    kept = reset(work.module)
    if kept:
        work.notes.append(f"These weights can't be drawn anew, and stayed as they were: {', '.join(kept)}.")


def reset(module: nn.Module) -> list[str]:
    """Draw every layer's weights anew, as torch does for a new layer; the names of those that know no such way."""
    kept = []
    for name, layer in module.named_modules():
        if callable(getattr(layer, "reset_parameters", None)):
            layer.reset_parameters()
        else:
            kept += [f"{name}.{own}" if name else own for own, _ in layer.named_parameters(recurse=False)]
    return kept
