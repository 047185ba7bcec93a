"""Recipes in the words of the page."""

import functools
from typing import Any

from workbench import Recipe
from workbench.knobs import Knob, knobs
from workbench.steps import Step

LISTED = 3  # layers that are told one by one


@functools.lru_cache(maxsize=4096)
def recipe_words(recipe: Recipe) -> str:
    """A recipe in a few words: ``Prune 50%, Quantize 8 bits``."""
    return ", ".join(f"{type(step).__name__} {knob_words(step)}".strip() for step in recipe) or "Baseline"


def knob_words(step: Step) -> str:
    """A step's first knob and those that differ from their defaults: ``50% (round channels to 8 channels)``."""
    first, others = knobs(type(step))[:1], knobs(type(step))[1:]
    name = "".join(_value(knob, getattr(step, knob.name)) for knob in first)
    changed = [(knob, value) for knob in others if (value := getattr(step, knob.name)) != knob.default]
    changed.sort(key=lambda pair: pair[0].kind != "layers")  # single layers have the last word on the first knob
    told = [f"{knob.label.lower()} {_value(knob, value)}" for knob, value in changed]
    only = first and not getattr(step, first[0].name) and changed and changed[0][0].kind == "layers"
    return f"{'' if only else name} ({'; '.join(told)})".strip() if told else name


def _value(knob: Knob, value: Any) -> str:
    if knob.kind == "switch":
        return "on" if value else "off"
    if knob.kind == "layers" and len(value) > LISTED:
        low, high = (f"{end:.0%}" if end < 1 else f"{end:g}" for end in (min(value.values()), max(value.values())))
        return f"{low} to {high} in {len(value)} layers"
    if knob.kind == "layers":
        return " ".join(f"{layer}={figure:g}" for layer, figure in value.items())
    if knob.kind == "share":
        return f"{value:.0%}"
    unit = knob.unit.removesuffix("s") if value == 1 else knob.unit
    return f"{value:g} {unit}".strip() if isinstance(value, (int, float)) else str(value)
