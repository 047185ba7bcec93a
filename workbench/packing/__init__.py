"""The packed file: a graph and its weights, each tensor in the smallest of its exact codings, entropy-coded."""

from workbench.packing.format import unpack
from workbench.packing.writing import pack

__all__ = ["pack", "unpack"]
