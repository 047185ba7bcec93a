"""Relational distillation: samples are to lie to each other as they do in the teacher."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.distillation.base import FeatureLoss
from workbench.distillation.pairs import Pair

DISTANCE, ANGLE = 25.0, 50.0  # the paper's weights
MOST = 64  # samples of a batch that are looked at, as their triples grow with the third power


class Relational(FeatureLoss):
    """``25 * L_D + 50 * L_A``, summed over the pairs: distances between two samples, and angles between three.

    With e_i what a layer puts out for sample i, flattened, L_D is the Huber loss between the student's and the
    teacher's ``|e_i - e_j| / mean |e_i - e_j|``, and L_A that between their ``cos(e_i - e_j, e_k - e_j)``: neither
    cares how many figures an output has. The last of the pairs found automatically is taken. Of a larger batch the
    first 64 samples are.

    References
    ----------
    Park, Kim, Lu, Cho: Relational Knowledge Distillation, 2019 (arXiv 1904.05068).
    """

    @staticmethod
    def fits(pair: Pair) -> bool:
        return True

    @staticmethod
    def choose(pairs: list[Pair]) -> list[Pair]:
        return pairs[-1:]

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        total = student[0].new_zeros(())
        for v, u in ((v[:MOST].flatten(1), u[:MOST].flatten(1)) for v, u in zip(student, teacher, strict=True)):
            total = total + DISTANCE * F.smooth_l1_loss(distances(v), distances(u))
            total = total + ANGLE * F.smooth_l1_loss(angles(v), angles(u))
        return total


def distances(points: Tensor) -> Tensor:
    """Between every two points (N, C), in units of the mean distance: (N, N)."""
    found = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    return found / found.sum().clamp(min=1e-12) * max(1, (len(points) - 1) * len(points))


def angles(points: Tensor) -> Tensor:
    """The cosine at j between i and k, for every three points (N, C): (j, i, k)."""
    directions = F.normalize(points[None] - points[:, None], dim=2)
    return directions @ directions.transpose(1, 2)
