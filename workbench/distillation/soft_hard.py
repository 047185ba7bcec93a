"""Soft and hard targets, half each."""

from torch import Tensor

from workbench.distillation.hard import hard
from workbench.distillation.soft import soft


def soft_hard(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``(soft + hard) / 2``: the teacher's probabilities and its answers, which see."""
    return (soft(student, teacher, temperature) + hard(student, teacher, temperature)) / 2
