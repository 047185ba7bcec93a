"""Recipes in the words of the page."""

import functools
from typing import Any

from workbench import Recipe
from workbench.knobs import Knob, knobs
from workbench.steps import Step


@functools.lru_cache(maxsize=4096)
def recipe_words(recipe: Recipe) -> str:
    """A recipe in a few words: ``Prune 50%, Quantize 8 bits``."""
    return ", ".join(f"{type(step).__name__} {knob_words(step)}".strip() for step in recipe) or "Baseline"


def knob_words(step: Step) -> str:
    """A step's first knob and those that differ from their defaults: ``50% (round channels to 8 channels)``."""
    first, others = knobs(type(step))[:1], knobs(type(step))[1:]
    name = "".join(_value(knob, getattr(step, knob.name)) for knob in first)
    changed = [(knob, getattr(step, knob.name)) for knob in others]
    told = [f"{knob.label.lower()} {_value(knob, value)}" for knob, value in changed if value != knob.default]
    return f"{name} ({'; '.join(told)})".strip() if told else name


def _value(knob: Knob, value: Any) -> str:
    if knob.kind == "switch":
        return "on" if value else "off"
    if knob.kind == "layers":
        return " ".join(f"{layer}={figure:g}" for layer, figure in value.items())
    if knob.kind == "share":
        return f"{value:.0%}"
    unit = knob.unit.removesuffix("s") if value == 1 else knob.unit
    return f"{value:g} {unit}".strip() if isinstance(value, (int, float)) else str(value)
