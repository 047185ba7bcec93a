"""What a loss on intermediate outputs is."""

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from workbench.distillation.pairs import Pair


class FeatureLoss(nn.Module):
    """A distance between what paired layers of student and teacher put out; what it learns itself are its parameters.

    Parameters
    ----------
    pairs : list of Pair
        The layers whose outputs it will be given.
    """

    def __init__(self, pairs: list[Pair]):
        super().__init__()
        self.pairs = pairs

    @staticmethod
    def fits(pair: Pair) -> bool:
        """Whether the outputs of these two layers can be compared at all."""
        return len(pair.student_shape) == len(pair.teacher_shape)

    @staticmethod
    @abstractmethod
    def choose(pairs: list[Pair]) -> list[Pair]:
        """Those that it works with, of all fitting pairs that were found automatically."""

    @abstractmethod
    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """The loss, a scalar."""
