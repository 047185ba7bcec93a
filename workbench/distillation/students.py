"""Who learns: the model as it stands, the same with fresh weights, or another one: of the zoo, or the user's own."""

import torch
from torch import nn

from workbench.distillation.teachers import check_classes
from workbench.errors import WorkbenchError
from workbench.factories import names_factory
from workbench.models import architecture
from workbench.steps.base import Context, Work


def student_called(name: str, context: Context) -> nn.Module:
    """Another model than the one at hand: a zoo model with fresh weights, or what ``package.module:factory`` makes.

    Raises
    ------
    WorkbenchError
        If there is none of that name, it takes other inputs or gives other outputs, or it has nothing to train.
    """
    module = architecture(name, context.dataset, context.seed)
    if not names_factory(name):
        return module
    check_classes(module, f"The student '{name}'", context.dataset)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise WorkbenchError(
            f"The student '{name}' has no parameters to train.", "Leave requires_grad on where it is to learn."
        )
    return module


def prepare_student(work: Work, name: str, fresh: bool, context: Context) -> None:
    """Put the student into `work`: a zoo model has fresh weights anyway, an own one those that its factory gave it.

    Raises
    ------
    WorkbenchError
        If that would undo what earlier steps did, or as `student_called`.
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
        work.module, work.architecture = student_called(name, context), name
        if not (fresh and names_factory(name)):
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
