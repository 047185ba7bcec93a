"""Soft targets: the teacher's probabilities, its second guesses included."""

import torch.nn.functional as F
from torch import Tensor


def soft(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``T^2 * KL(softmax(t / T) || softmax(z / T))`` for student logits z and teacher logits t, the mean of a batch.

    The factor ``T^2`` keeps the gradient's size when the temperature T changes.

    References
    ----------
    Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, 2015 (arXiv 1503.02531).
    """
    z, t = (F.log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    return F.kl_div(z, t, reduction="batchmean", log_target=True) * temperature**2
