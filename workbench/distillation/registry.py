"""What a student can imitate: kinds of targets, and kinds of features."""

from collections.abc import Callable

from torch import Tensor

from workbench.distillation.attention import Attention
from workbench.distillation.base import FeatureLoss
from workbench.distillation.hard import hard
from workbench.distillation.hints import Hints
from workbench.distillation.relational import Relational
from workbench.distillation.soft import soft
from workbench.distillation.soft_hard import soft_hard

TARGETS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {"soft": soft, "hard": hard, "soft+hard": soft_hard}
FEATURES: dict[str, type[FeatureLoss]] = {"hints": Hints, "attention": Attention, "relational": Relational}
