"""The face of Compression Workbench: ipywidgets and Bokeh panels over the engine's public API."""

from widgets.app import Workbench
from widgets.recipe_editor import RecipeEditor
from widgets.result import ResultCard
from widgets.tradeoff import TradeoffPlot

__all__ = ["RecipeEditor", "ResultCard", "TradeoffPlot", "Workbench"]
