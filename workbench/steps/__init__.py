"""The steps a recipe can be made of, by their name in a recipe file."""

from workbench.steps.base import Step
from workbench.steps.distill import Distill
from workbench.steps.finetune import Finetune
from workbench.steps.half import Half
from workbench.steps.pack import Pack
from workbench.steps.prune import Prune
from workbench.steps.quantize import Quantize
from workbench.steps.share_weights import ShareWeights
from workbench.steps.slim import Slim
from workbench.steps.sparsify import Sparsify

STEPS: dict[str, type[Step]] = {
    step.key(): step for step in (Prune, Slim, Sparsify, Distill, Finetune, Quantize, Half, ShareWeights, Pack)
}

__all__ = [
    "STEPS",
    "Distill",
    "Finetune",
    "Half",
    "Pack",
    "Prune",
    "Quantize",
    "ShareWeights",
    "Slim",
    "Sparsify",
    "Step",
]
