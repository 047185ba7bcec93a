"""The steps a recipe can be made of, by their name in a recipe file."""

from workbench.steps.base import Step
from workbench.steps.distill import Distill
from workbench.steps.finetune import Finetune
from workbench.steps.prune import Prune
from workbench.steps.quantize import Quantize

STEPS: dict[str, type[Step]] = {step.key(): step for step in (Prune, Distill, Finetune, Quantize)}

__all__ = ["STEPS", "Distill", "Finetune", "Prune", "Quantize", "Step"]
