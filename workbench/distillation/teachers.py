"""Who teaches: the baseline, the model itself, a zoo model, one of the user's own; and assistants in between."""

import copy
import math
from collections.abc import Iterator

import torch
from safetensors import safe_open
from torch import Tensor, nn

from workbench.data import Dataset
from workbench.errors import WorkbenchError, lookup
from workbench.evaluation import Classification, task_of
from workbench.factories import names_factory, own_module
from workbench.models import MODELS, teacher_for
from workbench.steps.base import Context, Work
from workbench.steps.prune import Prune


def teacher_called(name: str, student: nn.Module, context: Context) -> nn.Module:
    """A copy of the teacher, in evaluation mode and on the context's device.

    Raises
    ------
    WorkbenchError
        If there is none of that name, it can't be made, takes other inputs, or tells other classes apart than the
        dataset has.
    """
    if names_factory(name):
        teacher = own_module(name, context.seed)
    elif name not in ("baseline", "self"):
        _check_zoo_classes(name, context.dataset)
        teacher = teacher_for(name, context.dataset)
    else:
        teacher = copy.deepcopy(student if name == "self" else context.baseline)
    check_classes(teacher.to("cpu").eval(), f"The teacher '{name}'", context.dataset)
    return teacher.requires_grad_(False).to(context.device)


def check_classes(module: nn.Module, who: str, dataset: Dataset) -> None:
    """Refuse a model that does not give what the dataset's task asks for; of a classifier one logit for each class."""
    inputs = torch.from_numpy(dataset.prepare(dataset.train.inputs[:2]))
    try:
        with torch.no_grad():
            outputs = module(inputs)
    except Exception as error:  # a model of somebody's own may raise anything
        said = str(error) if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}"
        raise WorkbenchError(f"{who} can't take inputs of shape {dataset.sample_shape}.", f"{said}.") from error
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point():
        given = outputs.dtype if isinstance(outputs, Tensor) else type(outputs).__name__
        raise WorkbenchError(f"{who} gives {given}, not one tensor of floats.", "Let its forward return its outputs.")
    shape = tuple(outputs.shape)
    task = task_of(dataset)
    if not isinstance(task, Classification):
        return task.check_outputs(shape, dataset, who)
    if len(shape) != 2 or shape[0] != 2:
        raise WorkbenchError(
            f"{who} gives outputs of shape {shape} for 2 inputs.",
            f"Let it give (N, classes), here (2, {len(dataset.classes)}).",
        )
    if shape[1] != len(dataset.classes):
        raise WorkbenchError(
            f"{who} tells {shape[-1]} classes apart, the dataset has {len(dataset.classes)}.",
            "Choose one for the same classes.",
        )


def _check_zoo_classes(name: str, dataset: Dataset) -> None:
    """Refuse a zoo model for fewer or more classes, or for others, as far as both have names."""
    model = lookup(MODELS, name, "model")
    path, classes = model.weights(dataset.name), model.classes(dataset.name)
    if path.exists():
        with safe_open(path, "pt") as file:  # every zoo model ends with its classifier
            last = list(model.build(dataset.sample_shape[0], 2).state_dict())[-1]
            told = file.get_slice(last).get_shape()[0]
        if told != len(dataset.classes):
            raise WorkbenchError(
                f"The teacher '{name}' tells {told} classes apart, the dataset has {len(dataset.classes)}.",
                "Choose one for the same classes.",
            )
    unnamed = dataset.classes == [str(number) for number in range(len(dataset.classes))]
    if unnamed or not classes:
        return
    for number, (theirs, ours) in enumerate(zip(classes, dataset.classes, strict=True)):
        if theirs != ours:
            raise WorkbenchError(
                f"The teacher '{name}' calls class {number} '{theirs}', the dataset '{ours}'.",
                "Choose one for the same classes, or name and order the dataset's as it does.",
            )


def assistants(count: int, teacher: nn.Module, student: nn.Module, context: Context) -> Iterator[Work]:
    """Models between teacher and student in width, largest first: the teacher with channels cut out.

    With P parameters, width being about the root of it, the k-th of n has ``(P_student / P_teacher)^(k / (2 (n + 1)))``
    of the teacher's width.

    Raises
    ------
    WorkbenchError
        If the student is not smaller than the teacher.

    References
    ----------
    Mirzadeh et al.: Improved Knowledge Distillation via Teacher Assistant, 2020 (arXiv 1902.03393).
    """
    theirs, ours = (sum(p.numel() for p in module.parameters()) for module in (teacher, student))
    if count and ours >= theirs:
        raise WorkbenchError(
            f"There is no size for an assistant: the student has {ours:,} parameters, the teacher {theirs:,}.",
            "Prune whole channels first, or set assistants to 0.",
        )
    width = math.sqrt(ours / theirs)
    for k in range(1, count + 1):
        work = Work(copy.deepcopy(teacher).to("cpu").requires_grad_(True))
        Prune(ratio=round(1 - width ** (k / (count + 1)), 4)).apply(work, context)
        yield work
