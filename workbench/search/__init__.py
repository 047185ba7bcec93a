"""Search for the recipes of the best trade-offs."""

from workbench.search.outcome import Outcome

__all__ = ["Outcome"]
