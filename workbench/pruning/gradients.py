"""Gradients of the loss on calibration samples: what the Taylor importance is made of."""

import torch
import torch.nn.functional as F
from torch import nn

from workbench.data import Dataset


def accumulate_gradients(module: nn.Module, dataset: Dataset, batch_size: int = 128) -> None:
    """Leave in every parameter's `.grad` the gradient of the cross-entropy over the calibration samples."""
    module.eval()
    module.zero_grad()
    split = dataset.calibration
    for start in range(0, len(split), batch_size):
        inputs = torch.from_numpy(dataset.prepare(split.inputs[start : start + batch_size]))
        labels = torch.from_numpy(split.labels[start : start + batch_size])
        F.cross_entropy(module(inputs), labels, reduction="sum").backward()
