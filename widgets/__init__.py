"""The face of Compression Workbench: ipywidgets and Bokeh panels over the engine's public API.

Names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from widgets.app import Workbench
    from widgets.singly import Flips, LayerTable, RecipeEditor, ResultCard, TradeoffPlot, TrialHistory

_SINGLY = ("Flips", "LayerTable", "RecipeEditor", "ResultCard", "TradeoffPlot", "TrialHistory")
_HOME = {"Workbench": "app"} | dict.fromkeys(_SINGLY, "singly")

__all__ = ["Flips", "LayerTable", "RecipeEditor", "ResultCard", "TradeoffPlot", "TrialHistory", "Workbench"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'widgets' has no attribute '{name}'")
    return getattr(import_module(f"widgets.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
