"""Distillation: what a student can imitate, who teaches, who learns."""

from workbench.distillation.registry import FEATURES, TARGETS
from workbench.distillation.teaching import check, distill

__all__ = ["FEATURES", "TARGETS", "check", "distill"]
