"""Attention transfer: the student is to look where the teacher looks."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from workbench.distillation.base import FeatureLoss
from workbench.distillation.pairs import Pair, alike

BETA = 1000.0  # the paper's weight of this loss against cross-entropy


class Attention(FeatureLoss):
    """``BETA/2 * mean (Q(v)/|Q(v)| - Q(u)/|Q(u)|)^2``, summed over the pairs, for outputs v and u of maps.

    The attention Q of maps (C, H, W) is ``sum_c |map_c|^2``, a vector of H * W figures: how wide student and teacher
    are does not matter. Every pair of maps that was found automatically is taken.

    References
    ----------
    Zagoruyko, Komodakis: Paying More Attention to Attention, 2017 (arXiv 1612.03928), equation 2.
    """

    @staticmethod
    def fits(pair: Pair) -> bool:
        return all(len(shape) == 3 and max(shape[1:]) > 1 for shape in (pair.student_shape, pair.teacher_shape))

    @staticmethod
    def choose(pairs: list[Pair]) -> list[Pair]:
        return pairs

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        told = [alike(v, u) for v, u in zip(student, teacher, strict=True)]
        terms = ((attention(v) - attention(u)).square().mean() for v, u in told)
        return BETA / 2 * sum(terms, start=student[0].new_zeros(()))


def attention(maps: Tensor) -> Tensor:
    """Maps (N, C, H, W) as one normalized attention map each, (N, H * W)."""
    return F.normalize(maps.square().sum(1).flatten(1), dim=1)
