"""A model put together from its architecture, a plan and weights that can't run code.

Needs torch, safetensors and PyYAML only.
"""

from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file


def put_together(module: torch.nn.Module, layers: dict[str, dict[str, Any]]) -> torch.nn.Module:
    """The module with its layers made anew as a plan says, in place."""
    for name, layer in layers.items():
        parent, _, child = name.rpartition(".")
        setattr(module.get_submodule(parent), child, getattr(torch.nn, layer["type"])(**layer["arguments"]))
    return module


def load_planned(module: torch.nn.Module, plan: str | Path, weights: str | Path) -> torch.nn.Module:
    """An architecture as it was before it was cut, with the layers of a plan and their weights, ready to run."""
    module = put_together(module, yaml.safe_load(Path(plan).read_text(encoding="utf-8"))["layers"])
    module.load_state_dict(load_file(weights))
    return module.eval()
