"""What every step of a recipe is: a frozen declaration of knobs, and one `apply`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from workbench.errors import WorkbenchError, nearest

if TYPE_CHECKING:
    from torch import nn

    from workbench.constraints import Constraint
    from workbench.data import Dataset
    from workbench.quantization.activations import Inputs
    from workbench.quantization.grid import Grid
    from workbench.runtimes import Runtime
    from workbench.steps.quantize import Quantize


@dataclass
class Work:
    """The model on its way through a recipe.

    Attributes
    ----------
    module : torch.nn.Module
        The model as it is now.
    constraints : dict of str to Constraint
        What every later training respects, by kind (``zeros``, ...), in the order it was laid on.
    plan : list
        The structural edits so far, as plain data that `workbench.pruning.plan.replay` makes again.
    architecture : str or None
        What took the place of the study's own model, with a plan of its own: a zoo model, or the text
        ``package.module:factory``. None if none did.
    quantization : Quantize or None
        What the runtime is to quantize when it exports.
    grids : dict of str to Grid
        The grid that a quantized parameter lies on, by the parameter's name.
    precision : str
        The format of the exported floats: ``float32``, ``float16`` or ``bfloat16``.
    packed : bool
        Whether it ships as a packed file, entropy-coded, whatever the study's runtime.
    activations : dict of str to Grid or DynamicGrid
        The grid that what flows into a layer is rounded to, by the layer's name.
    simulated : list of str
        Sentences: what of this model no kernel computes with, and why. Its speed is then not claimed.
    notes : list of str
        Sentences that the user should read about what was done, or could not be.
    """

    module: "nn.Module"
    constraints: "dict[str, Constraint]" = field(default_factory=dict)
    plan: list[dict[str, Any]] = field(default_factory=list)
    architecture: str | None = None
    quantization: "Quantize | None" = None
    grids: "dict[str, Grid]" = field(default_factory=dict)
    precision: str = "float32"
    packed: bool = False
    activations: "dict[str, Inputs]" = field(default_factory=dict)
    simulated: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ships_packed(self) -> bool:
        """Whether its file is a packed one, whatever the study's runtime."""
        return self.packed or bool(self.simulated)


@dataclass(frozen=True)
class Context:
    """What a step may use besides the model itself.

    Attributes
    ----------
    dataset : Dataset
    baseline : torch.nn.Module
        The unchanged model, in evaluation mode: the default teacher.
    seed : int
    device : str
        Where training runs: "cpu" or "cuda".
    report : callable
        Called with keyword facts (share in [0, 1], loss, accuracy, epoch, message); raises `Cancelled` when asked
        to stop.
    runtime : Runtime or None
        What will execute the artifact, with so many `threads` and inputs in a `batch`: for steps that ask what it can
        compute with, or how long it takes.
    place : int
        Which step of the recipe is carried out, from 1 on; 0 outside of any.
    """

    dataset: "Dataset"
    baseline: "nn.Module"
    seed: int = 0
    device: str = "cpu"
    report: Callable[..., None] = lambda **facts: None
    runtime: "Runtime | None" = None
    threads: int = 1
    batch: int = 1
    place: int = 0

    def part(self, index: int, count: int) -> "Context":
        """The same, for the part `index` of `count` equal ones that a step is made of: its progress is scaled."""

        def report(**facts: Any) -> None:
            if "share" in facts:
                facts["share"] = (index + facts["share"]) / count
            self.report(**facts)

        return replace(self, report=report)


class Step(BaseModel):
    """One declared operation with its knobs: immutable, comparable, serializable.

    Raises
    ------
    WorkbenchError
        On an unknown knob (with the nearest known one) or a value out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=False)
    kinds: ClassVar[tuple[str, ...]] = ()
    """What it does, of Prune, Train and Quantize: recipes of the same kinds look alike in a plot."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _refusal(type(self), error) from None

    @classmethod
    def key(cls) -> str:
        """The step's name in a recipe file: ``prune`` for `Prune`."""
        return cls.__name__.lower()

    @classmethod
    def summary(cls) -> str:
        """The first sentence of its documentation."""
        return (cls.__doc__ or "").strip().split("\n")[0]

    def check(self, context: Context) -> None:
        """Refuse what can't be done to this baseline on this dataset, before any step of the recipe is carried out."""

    def apply(self, work: Work, context: Context) -> None:
        """Carry the step out on `work`, in place."""
        raise NotImplementedError  # abstract

    def describe(self) -> str:
        """The step in a few words: its first knob, and the others that differ from their defaults."""
        fields = type(self).model_fields
        told = [
            f"{name}={value}"
            for index, (name, value) in enumerate(self.model_dump().items())
            if index == 0 or value != fields[name].default
        ]
        return f"{type(self).__name__}({', '.join(told)})"


def _refusal(step: type[Step], error: ValidationError) -> WorkbenchError:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    kind, bounds = first["type"], first.get("ctx", {})
    if kind == "extra_forbidden":
        return WorkbenchError(f"{step.__name__} has no knob '{name}'.", nearest(name, list(step.model_fields)))
    if kind == "value_error":
        return WorkbenchError(str(bounds.get("error", first["msg"])), "")
    said = f"{step.__name__}'s {name} can't be {first['input']!r}."
    if kind == "literal_error":
        return WorkbenchError(said, f"Choose one of: {bounds['expected']}.")
    if kind == "greater_than_equal":
        return WorkbenchError(said, f"It must be at least {bounds['ge']:g}.")
    if kind == "less_than_equal":
        return WorkbenchError(said, f"It must be at most {bounds['le']:g}.")
    return WorkbenchError(said, f"{first['msg']}.")
