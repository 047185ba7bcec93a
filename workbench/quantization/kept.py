"""The grids of a model on disk (safetensors), so that what was rounded once can be written for other runtimes too."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from workbench.disk import whole
from workbench.quantization.activations import DynamicGrid, Inputs
from workbench.quantization.grid import Grid


def save_grids(path: Path, weights: dict[str, Grid], activations: dict[str, Inputs]) -> None:
    """Write the grids of weights and of what flows into layers, by name; nothing is written where there are none."""
    scales: dict[str, Tensor] = {}
    told: dict[str, dict[str, Any]] = {}
    for kind, grids in (("weights", weights), ("activations", activations)):
        for name, grid in grids.items():
            key = f"{kind}/{name}"
            told[key] = asdict(grid)
            if isinstance(grid, Grid):
                scales[key] = told[key].pop("scale").detach().cpu().contiguous().clone()
    if told:
        with whole(path) as unfinished:
            save_file(scales, unfinished, metadata={"grids": json.dumps(told)})


def load_grids(path: Path) -> tuple[dict[str, Grid], dict[str, Inputs]]:
    """What `save_grids` wrote: of weights, and of what flows into layers; both empty where there is no file."""
    weights: dict[str, Grid] = {}
    activations: dict[str, Inputs] = {}
    if path.exists():
        with safe_open(path, "pt") as file:
            for key, told in json.loads(file.metadata()["grids"]).items():
                kind, _, name = key.partition("/")
                grid = Grid(file.get_tensor(key), **told) if key in file.keys() else DynamicGrid(**told)  # noqa: SIM118
                if kind == "activations":
                    activations[name] = grid
                elif isinstance(grid, Grid):
                    weights[name] = grid
    return weights, activations
