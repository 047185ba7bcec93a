"""What a zoo model is: an architecture, the datasets it was trained on, and how."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from workbench.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class ZooModel:
    """An architecture and its pretrained weights.

    Attributes
    ----------
    name : str
    title, summary : str
        For people.
    build : callable
        (input channels, classes) -> torch.nn.Module with fresh weights.
    training : dict of str to Recipe
        By dataset, the recipe that trained the shipped weights from scratch.
    image_size : int or None
        Images are padded to this size; None takes them as they are.
    call : str
        The expression that makes the module, with ``{channels}`` and ``{classes}``, where the file that defines its
        class needs nothing but torch.
    """

    name: str
    title: str
    summary: str
    build: "Callable[[int, int], nn.Module]"
    training: dict[str, Recipe] = field(default_factory=dict)
    image_size: int | None = None
    call: str = ""

    def weights(self, dataset: str) -> Path:
        """The file of the weights trained on that dataset; the card lies beside it, ending in ``.yaml``."""
        return WEIGHTS / f"{self.name}-{dataset}.safetensors"

    def classes(self, dataset: str) -> list[str]:
        """The names of the classes that those weights tell apart, from the card; none where it doesn't say."""
        card = self.weights(dataset).with_suffix(".yaml")
        return yaml.safe_load(card.read_text(encoding="utf-8"))["dataset"].get("classes", []) if card.exists() else []

    def fingerprint(self, dataset: str) -> str:
        """SHA-256 (16 hex digits) of that file."""
        return hashlib.sha256(self.weights(dataset).read_bytes()).hexdigest()[:16]
