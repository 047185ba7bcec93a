"""Feature hints: a layer of the student is to predict what a layer of the teacher puts out."""

from collections.abc import Sequence

from torch import Tensor, nn

from workbench.distillation.base import FeatureLoss
from workbench.distillation.pairs import Pair, alike

BETA = 100.0  # the weight against the other losses in Tian et al. 2020 (arXiv 1910.10699)


class Hints(FeatureLoss):
    """``BETA * mean (u - r(v))^2`` for teacher outputs u and student outputs v, summed over the pairs.

    The regressor r is learned along and thrown away: a 1x1 convolution for maps, a linear layer for anything else, and
    nothing where both are equally wide. Of the pairs found automatically the middle one is taken. The paper trains on
    hints first and on targets afterwards; here both are one loss.

    References
    ----------
    Romero et al.: FitNets: Hints for Thin Deep Nets, 2015 (arXiv 1412.6550).
    """

    def __init__(self, pairs: list[Pair]):
        super().__init__(pairs)
        self.regressors = nn.ModuleList(_regressor(pair) for pair in pairs)

    @staticmethod
    def choose(pairs: list[Pair]) -> list[Pair]:
        middle = (len(pairs) - 1) // 2
        return pairs[middle : middle + 1]

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        told = [alike(r(v), u) for r, v, u in zip(self.regressors, student, teacher, strict=True)]
        return BETA * sum(((u - v).square().mean() for v, u in told), start=student[0].new_zeros(()))


def _regressor(pair: Pair) -> nn.Module:
    maps = len(pair.student_shape) == 3
    ours, theirs = (shape[0 if maps else -1] for shape in (pair.student_shape, pair.teacher_shape))
    if ours == theirs:
        return nn.Identity()
    return nn.Conv2d(ours, theirs, 1) if maps else nn.Linear(ours, theirs)
