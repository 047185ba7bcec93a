"""What the engine declares of its steps and knobs, in the language in use."""

import functools
from pathlib import Path
from typing import Any

import yaml

from widgets.texts import spoken, text, translated
from workbench.knobs import Knob, knobs
from workbench.steps import STEPS, Step

CHINESE = Path(__file__).with_name("knobs.yaml")


@functools.cache
def chinese() -> dict[str, dict[str, Any]]:
    """Units, summaries of steps, and (label, help) of knobs."""
    return yaml.safe_load(CHINESE.read_text(encoding="utf-8"))


def summary(step: type[Step]) -> str:
    """What a step does, in a sentence."""
    return chinese()["steps"].get(step.key(), step.summary()) if spoken() == "zh" else step.summary()


def label_and_help(step: str, knob: Knob) -> tuple[str, str]:
    """A knob's name on screen and its sentence of help."""
    if spoken() == "zh":
        known = chinese()["knobs"]
        found = known.get(f"{step}.{knob.name}") or known.get(f"training.{knob.name}")
        if found:
            return found[0], found[1]
    return knob.label, knob.help


def dimension(name: str) -> str:
    """What a search varies, on screen: ``prune.ratio`` as "Prune: Pruning ratio", ``prune`` as whether there is one."""
    key, _, rest = name.partition(".")
    step = STEPS.get(key)
    if step is None:
        return name
    if not rest:
        return text("find.whether", step=step.__name__)
    field, _, layer = rest.partition(".")
    known = {knob.name: knob for knob in knobs(step)}
    label = label_and_help(key, known[field])[0] if field in known else rest
    return f"{step.__name__}: {label}" + (f" ({layer})" if layer else "")


def objective(name: str) -> str:
    """What a search makes better, on screen, in the middle of a sentence."""
    return translated("objective", name, name.replace("_", " "))


def unit(knob: Knob) -> str:
    """The unit of a knob's figure."""
    return chinese()["units"].get(knob.unit, knob.unit) if spoken() == "zh" else knob.unit
