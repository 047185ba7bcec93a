"""Hard targets: the teacher's answers, without how sure it was."""

import torch.nn.functional as F
from torch import Tensor


def hard(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``CE(z, argmax t)`` for student logits z and teacher logits t; the temperature plays no part.

    References
    ----------
    Touvron et al.: Training data-efficient image transformers, 2021 (arXiv 2012.12877), section 4.
    """
    return F.cross_entropy(student, teacher.argmax(1))
