"""Soft and hard targets, half each."""

from torch import Tensor

from workbench.distillation.hard import hard
from workbench.distillation.soft import soft


def soft_hard(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``(soft + hard) / 2``: the teacher's probabilities and its answers, which see.

    References
    ----------
    Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network, 2015 (arXiv 1503.02531), section 2, for a sum
    of both kinds of target; there the hard ones are the labels.
    """
    return (soft(student, teacher, temperature) + hard(student, teacher, temperature)) / 2
