"""Gradients of the loss on calibration samples: what the Taylor and the Hessian importance are made of."""

import torch
from torch import Tensor, nn

from workbench.data import Dataset
from workbench.evaluation import task_of

SAMPLES = 256  # whose gradients are taken one by one


def accumulate_gradients(module: nn.Module, dataset: Dataset, batch_size: int = 128) -> None:
    """Leave in every parameter's `.grad` the gradient of the task's loss over the calibration samples."""
    module.eval()
    module.zero_grad()
    split = dataset.calibration
    for start in range(0, len(split), batch_size):
        inputs = torch.from_numpy(dataset.prepare(split.inputs[start : start + batch_size]))
        labels = torch.from_numpy(split.labels[start : start + batch_size])
        task_of(dataset).loss(module(inputs), labels, reduction="sum").backward()


def mean_squared_gradients(module: nn.Module, names: list[str], dataset: Dataset) -> dict[str, Tensor]:
    """For each named parameter, the mean over single calibration samples of its squared gradient."""
    module.eval()
    weights = [module.get_parameter(name) for name in names]
    sums = [torch.zeros_like(weight) for weight in weights]
    split = dataset.calibration
    inputs = torch.from_numpy(dataset.prepare(split.inputs[:SAMPLES]))
    labels = torch.from_numpy(split.labels[:SAMPLES])
    for sample, label in zip(inputs.split(1), labels.split(1), strict=True):
        loss = task_of(dataset).loss(module(sample), label)
        gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        for total, gradient in zip(sums, gradients, strict=True):
            total += gradient.square()
    return {name: total / len(labels) for name, total in zip(names, sums, strict=True)}
