"""Foresight: what a recipe would give, from what was measured before, in milliseconds."""

from workbench.prediction.base import CONFIDENCE, Prediction

__all__ = ["CONFIDENCE", "Prediction"]
