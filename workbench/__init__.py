"""Compression Workbench: make neural networks smaller and faster, and see what it costs.

Names are imported when they are first used, so that `import workbench` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.data import Dataset
    from workbench.errors import Cancelled, WorkbenchError
    from workbench.metrics import Metrics
    from workbench.recipe import Recipe
    from workbench.steps import Distill, Finetune, Half, Pack, Prune, Quantize, ShareWeights, Slim, Sparsify
    from workbench.study import Study
    from workbench.trial import Trial

__version__ = "0.1.0"

_HOME = {
    "Cancelled": "errors",
    "Dataset": "data",
    "Distill": "steps",
    "Finetune": "steps",
    "Half": "steps",
    "Metrics": "metrics",
    "Pack": "steps",
    "Prune": "steps",
    "Quantize": "steps",
    "Recipe": "recipe",
    "ShareWeights": "steps",
    "Slim": "steps",
    "Sparsify": "steps",
    "Study": "study",
    "Trial": "trial",
    "WorkbenchError": "errors",
}

__all__ = [
    "Cancelled",
    "Dataset",
    "Distill",
    "Finetune",
    "Half",
    "Metrics",
    "Pack",
    "Prune",
    "Quantize",
    "Recipe",
    "ShareWeights",
    "Slim",
    "Sparsify",
    "Study",
    "Trial",
    "WorkbenchError",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'workbench' has no attribute '{name}'")
    return getattr(import_module(f"workbench.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
