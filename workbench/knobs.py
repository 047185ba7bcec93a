"""One declaration per knob: validation, slider, search range, command line and reference page all follow from it."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Knob:
    """What a control, a search space or a help text needs to know of one knob.

    Attributes
    ----------
    name, label, help, unit : str
        The field's name, its name on screen, one sentence of help, and the unit of its figure ("" where it has none).
    kind : {"share", "number", "integer", "choice", "switch", "text", "layers"}
        A share is a number shown as per cent; layers is a table from names of layers to figures.
    default : Any
    low, high, step : float or None
        Bounds (inclusive) and step, for figures.
    log : bool
        Whether the range is naturally walked by factors.
    choices : tuple
        For a choice.
    advanced : bool
        Whether the knob is folded away until asked for.
    of : {"weights", "channels", ""}
        For a table by layer: whether it names the layers that have weights, or those whose channels can be cut.
    """

    name: str
    label: str
    help: str
    unit: str
    kind: str
    default: Any
    low: float | None
    high: float | None
    step: float | None
    log: bool
    choices: tuple
    advanced: bool
    of: str

    @property
    def values(self) -> str:
        """What it may be, in writing: choices, or a range with its unit."""
        if self.choices:
            return ", ".join(map(str, self.choices))
        if self.low is None:
            return {"switch": "yes, no", "layers": "a figure by layer"}.get(self.kind, "text")
        return f"{self.low:g} to {self.high:g}{' ' * bool(self.unit)}{self.unit}"


def knob(
    default: Any,
    *,
    help: str,
    label: str = "",
    unit: str = "",
    ge: float | None = None,
    le: float | None = None,
    step: float | None = None,
    log: bool = False,
    share: bool = False,
    choices: Sequence = (),
    advanced: bool = False,
    of: Literal["weights", "channels"] = "weights",
) -> Any:
    """Declare a knob of a step (a pydantic field that also carries what a control needs).

    A table by layer is a ``dict[str, Annotated[float, Field(ge=..., le=...)]]``; its bounds are those of its figures,
    and `of` says which layers it names.
    """
    extra: dict[str, Any] = {"label": label, "unit": unit, "step": step, "log": log, "share": share}
    extra |= {"advanced": advanced, "choices": list(choices), "of": of}
    return Field(default, ge=ge, le=le, description=help, json_schema_extra=extra)


@functools.cache
def knobs(step: type[BaseModel]) -> tuple[Knob, ...]:
    """The knobs of a step, in the order of their declaration."""
    return tuple(_knob(name, field) for name, field in step.model_fields.items())


def _knob(name: str, field: FieldInfo) -> Knob:
    extra: dict[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    metadata = field.metadata
    if get_origin(field.annotation) is dict:  # the bounds of a table are those of its figures
        metadata = [m for info in get_args(get_args(field.annotation)[1])[1:] for m in info.metadata]
    bounds = {type(m).__name__: m for m in metadata}
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else tuple(extra["choices"])
    kind = _kind(field.annotation, choices, extra["share"])
    return Knob(
        name=name,
        label=extra["label"] or name.replace("_", " ").capitalize(),
        help=field.description or "",
        unit=extra["unit"],
        kind=kind,
        default=field.default,
        low=getattr(bounds.get("Ge"), "ge", None),
        high=getattr(bounds.get("Le"), "le", None),
        step=extra["step"],
        log=extra["log"],
        choices=choices,
        advanced=extra["advanced"],
        of=extra["of"] if kind == "layers" else "",
    )


def _kind(annotation: Any, choices: tuple, share: bool) -> str:
    if choices:
        return "choice"
    if annotation is bool:
        return "switch"
    if annotation is int:
        return "integer"
    if annotation is float:
        return "share" if share else "number"
    return "layers" if get_origin(annotation) is dict else "text"
