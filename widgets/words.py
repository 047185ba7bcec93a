"""Recipes in the words of the page."""

from typing import Any

from workbench import Recipe
from workbench.knobs import Knob, knobs
from workbench.steps import Step


def recipe_words(recipe: Recipe) -> str:
    """A recipe in a few words: ``Prune 50%, Quantize 8 bits``."""
    return ", ".join(_step(step) for step in recipe) or "Baseline"


def _step(step: Step) -> str:
    first, *others = knobs(type(step))
    told = [f"{type(step).__name__} {_value(first, getattr(step, first.name))}"]
    for knob in others:
        value = getattr(step, knob.name)
        if value != knob.default:
            told.append(f"{knob.label.lower()} {_value(knob, value)}")
    return f"{told[0]} ({'; '.join(told[1:])})" if others and told[1:] else told[0]


def _value(knob: Knob, value: Any) -> str:
    if knob.kind == "share":
        return f"{value:.0%}"
    unit = knob.unit.removesuffix("s") if value == 1 else knob.unit
    return f"{value:g} {unit}".strip() if isinstance(value, (int, float)) else str(value)
