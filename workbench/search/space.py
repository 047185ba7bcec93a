"""Where a search looks: knobs and their ranges, taken from the declarations, narrowed by the user."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError, lookup, nearest
from workbench.knobs import Knob, knobs
from workbench.recipe import Recipe
from workbench.runtimes import Runtime
from workbench.steps import STEPS, Distill, Finetune, Quantize, Step
from workbench.steps.finetune import Training

if TYPE_CHECKING:
    from workbench.sensitivity import Sensitivity

ORDER = ("prune", "distill", "finetune", "quantize")
USUAL: dict[str, Any] = {
    "prune.ratio": (0.1, 0.9),
    "prune.granularity": ["channel"],
    "prune.importance": ["l2", "taylor"],
    "prune.scope": ["layer", "global"],
    "prune.round_to": [1, 8],
    "distill.epochs": [1, 2, 3],
    "distill.learning_rate": (1e-4, 5e-3),
    "distill.temperature": (1.0, 8.0),
    "distill.alpha": (0.0, 0.9),
    "distill.targets": ["soft"],
    "finetune": False,
    "quantize.weight_bits": [8],
    "quantize.mode": ["static"],
    "quantize.simulate": [False],
}
"""What is searched where the user says nothing: what usually pays, and what this machine has kernels for."""
ALLOCATION, STRENGTH = "prune.allocation", "prune.strength"
"""Whether the ratio goes to layers as the knobs say, or as a solver advises by the sensitivity of each; how far so."""
ALLOCATIONS = {"knobs": "", "sensitivity": "greedy", "evolution": "evolution"}
"""Ways to allocate, and the solver of each."""
SOLVED = (0.25, 0.5, 0.75, 0.9)  # of the range of ratios: what a solver is asked for first
OWN = ".layers."
"""In the name of a dimension, between the step and the layer whose own ratio or bits it is."""

DIGITS = 3  # that count, of what is searched by its logarithm
REACH, ANEW = 0.15, 0.2  # how far a neighbour's knobs move, as a share of their range; how many are drawn anew

Suggest = Callable[["Dimension"], Any]


@dataclass(frozen=True)
class Dimension:
    """One knob that is searched: a choice, or a range."""

    name: str
    choices: tuple = ()
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    whole: bool = False

    def at(self, share: float) -> Any:
        """The value at a share of the range, in [0, 1]."""
        if self.choices:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        if self.log:
            value = float(f"{np.exp(np.log(self.low) + share * (np.log(self.high) - np.log(self.low))):.{DIGITS}g}")
        else:
            value = self.low + share * (self.high - self.low)
        if self.step:
            value = round(self.low + round((value - self.low) / self.step) * self.step, 10)
        return round(value) if self.whole else min(max(value, self.low), self.high)

    def place(self, value: Any) -> float | None:
        """Where a value lies, in [0, 1]; None where it is outside."""
        if self.choices:
            return (self.choices.index(value) + 0.5) / len(self.choices) if value in self.choices else None
        if not isinstance(value, (int, float)) or not self.low <= value <= self.high:
            return None
        if self.log:
            return float((np.log(value) - np.log(self.low)) / (np.log(self.high) - np.log(self.low) or 1))
        return (value - self.low) / (self.high - self.low or 1)


@dataclass(frozen=True)
class Space:
    """The dimensions by step, and how a point of them becomes a recipe.

    Attributes
    ----------
    steps : dict of str to dict of str to Dimension
        By the step's name in a recipe file, in the order in which they are carried out.
    seed : int
    sensitivity : Sensitivity or None
        For allocations by layer.
    """

    steps: dict[str, dict[str, Dimension]]
    always: frozenset[str] = frozenset()
    seed: int = 0
    sensitivity: "Sensitivity | None" = field(default=None, compare=False)
    _solved: dict[tuple[str, float], dict[str, float]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        narrowed: Mapping[str, Any] | None,
        runtime: Runtime,
        sensitivity: "Sensitivity | None" = None,
        seed: int = 0,
        layers: Mapping[str, Sequence[str]] | None = None,
    ) -> "Space":
        """What is usual, narrowed or widened by the user.

        Parameters
        ----------
        narrowed : mapping, optional
            From ``"step.knob"`` to a list of choices, a (low, high) range, or one value; from ``"step"`` to False to
            leave a step out, or True to have it always. ``"prune.layers": (0.0, 0.9)`` gives each layer a ratio of
            its own, ``"quantize.layers": [8, 4]`` bits of its own; ``"prune.allocation"`` is one or more of knobs,
            sensitivity and evolution, and ``"prune.strength": (0, 1)`` goes between the first and the others.
        runtime : Runtime
        sensitivity : Sensitivity, optional
        seed : int
        layers : mapping, optional
            By step, the names of layers that can have something of their own.

        Raises
        ------
        WorkbenchError
            On an unknown step or knob, a value outside of its declared bounds, or a space of no or one point.
        """
        wishes = {**USUAL, **dict(narrowed or {})}
        if any(key.split(".")[0] == "finetune" for key in narrowed or {}) and "finetune" not in (narrowed or {}):
            wishes.pop("finetune")
        for key in wishes:
            lookup(STEPS, key.split(".")[0], "step")
        solver = {key: wishes.pop(key) for key in (ALLOCATION, STRENGTH) if key in wishes}
        steps: dict[str, dict[str, Dimension]] = {}
        asked = dict.fromkeys(key.split(".")[0] for key in wishes)
        for name in [*ORDER, *(n for n in asked if n not in ORDER)]:
            if name not in asked or wishes.get(name) is False:
                continue
            steps[name] = _dimensions(name, wishes, (layers or {}).get(name, ()))
        if "quantize" in steps and not runtime.kernels and not any(steps["quantize"]["simulate"].choices):
            del steps["quantize"]
        if "prune" in steps and sensitivity is not None and "prune.layers" not in wishes:
            steps["prune"].update(_allocations(solver))
        space = cls(steps, frozenset(n for n in steps if wishes.get(n) is True), seed, sensitivity)
        if space.points() < 2:
            raise WorkbenchError(
                "This search space has a single point.", "Run that recipe, or widen the range of a knob."
            )
        return space

    def points(self) -> float:
        """How many recipes there are; infinite where a knob is a range."""
        count = 1.0
        for name, dimensions in self.steps.items():
            each = 1.0
            for dimension in dimensions.values():
                each *= len(dimension.choices) or (1.0 if dimension.low == dimension.high else float("inf"))
            count *= each if name in self.always else each + 1
        return count

    def made(self, suggest: Suggest) -> tuple[Recipe, dict[str, Any]]:
        """The recipe that suggestions for each dimension make, and these by their names.

        Raises
        ------
        WorkbenchError
            If the knobs can't be combined.
        """
        params: dict[str, Any] = {}
        steps: list[Step] = []
        for name, dimensions in self.steps.items():
            if name not in self.always:
                params[name] = suggest(_switch(name))
                if not params[name]:
                    continue
            values: dict[str, Any] = {}
            own: dict[str, Any] = {}
            for dimension in dimensions.values():
                params[dimension.name] = value = suggest(dimension)
                knob, _, layer = dimension.name.split(".", 1)[1].partition(".")
                (own if layer else values)[layer or knob] = value
            if own:
                values["layers"] = own
            strength = values.pop("strength", 1.0)
            if solver := ALLOCATIONS[values.pop("allocation", "knobs")]:
                values = self._allocated(values, solver, strength)
            steps.append(STEPS[name](**values))
        return Recipe(steps, self.seed), params

    def _allocated(self, values: dict[str, Any], solver: str, strength: float) -> dict[str, Any]:
        """The knobs of a pruning whose ratio is the share of multiplications that a solver takes out."""
        assert self.sensitivity is not None
        ratio = round(values["ratio"], 3)
        key = solver, ratio
        if key not in self._solved:
            self._solved[key] = self.sensitivity.ratios(1 - ratio, solver, seed=self.seed)
        ratios = {n: round(strength * own + (1 - strength) * ratio, 3) for n, own in self._solved[key].items()}
        return {"ratio": 0.0, "layers": ratios, "round_to": values.get("round_to", 1)}

    def at(self, values: Mapping[str, Any]) -> tuple[Recipe, dict[str, Any]]:
        """The recipe of these values, by the names of dimensions; of what isn't named, the middle."""
        return self.made(lambda dimension: values.get(dimension.name, dimension.at(0.5)))

    def importances(self) -> list[str]:
        """Those that it prunes channels by."""
        dimension = self.steps.get("prune", {}).get("prune.importance")
        return list(dimension.choices) if dimension else []

    def covers(self, recipe: Recipe) -> bool:
        """Whether the steps of a recipe, and what they choose, are in the space, however far they go in its ranges.

        As a probe says as much of what is computed as of what is simulated, that makes no difference.
        """
        for step in recipe:
            if step.key() not in self.steps:
                return False
            for dimension in self.steps[step.key()].values():
                knob = dimension.name.split(".")[1]
                value = getattr(step, knob, None)
                free = not dimension.choices or knob == "simulate" or OWN in dimension.name
                if not free and value is not None and value not in dimension.choices:
                    return False
            if isinstance(step, Quantize) and step.weight_bits not in self.bits():
                return False
        return True

    def bits(self) -> set[int]:
        """What it may round weights to."""
        return {
            int(width)
            for dimension in self.steps.get("quantize", {}).values()
            if dimension.name == "quantize.weight_bits" or dimension.name.startswith(f"quantize{OWN}")
            for width in dimension.choices or range(int(dimension.low), int(dimension.high) + 1)
        }

    def solved(self) -> list[dict[str, Any]]:
        """What a solver advises, by the names of dimensions: ratios by layer, each without and with training."""
        prune = self.steps.get("prune", {})
        if ALLOCATION not in prune:
            return []
        trainings = [name for name in self.steps if name not in ("prune", "quantize")]
        return [
            {"prune": True, "quantize": True, ALLOCATION: way, "prune.ratio": prune["prune.ratio"].at(share)}
            | {name: name == training for name in trainings}
            for way in prune[ALLOCATION].choices
            if way != "knobs"
            for share in SOLVED
            for training in ("", *trainings)
        ]

    def params(self, recipe: Recipe) -> dict[str, Any] | None:
        """The suggestions that make a recipe; None where it lies outside of the space."""
        steps = merged(recipe)
        given = {step.key(): step for step in steps}
        if len(given) < len(steps) or list(given) != [name for name in self.steps if name in given]:
            return None
        found: dict[str, Any] = {}
        for name, dimensions in self.steps.items():
            if name not in self.always:
                found[_switch(name).name] = name in given
            elif name not in given:
                return None
            if name not in given:
                continue
            step, plain = given[name], type(given[name])()
            for field_name, knob_value in step.model_dump().items():
                key = f"{name}.{field_name}"
                own = {d: d.removeprefix(f"{name}{OWN}") for d in dimensions if d.startswith(f"{name}{OWN}")}
                if field_name == "layers" and own:
                    if set(own.values()) != set(knob_value):
                        return None
                    found |= {d: knob_value[layer] for d, layer in own.items()}
                    continue
                if key in dimensions:
                    if dimensions[key].place(knob_value) is None:
                        return None
                    found[key] = knob_value
                elif knob_value != getattr(plain, field_name):
                    return None
            if ALLOCATION in dimensions and name == "prune":
                found[ALLOCATION] = "knobs"
            if STRENGTH in dimensions and name == "prune":
                found[STRENGTH] = dimensions[STRENGTH].at(1.0)  # makes no difference there
        return found

    def random(self, generator: np.random.Generator) -> tuple[Recipe, dict[str, Any]]:
        """A recipe by chance, and its parameters."""
        return self.made(lambda dimension: dimension.at(float(generator.random())))

    def near(self, params: Mapping[str, Any], generator: np.random.Generator) -> tuple[Recipe, dict[str, Any]]:
        """A recipe like another, and its parameters: each knob moved a little, one in five anew."""

        def moved(dimension: Dimension) -> Any:
            place = dimension.place(params[dimension.name]) if dimension.name in params else None
            if place is None or generator.random() < ANEW:
                return dimension.at(float(generator.random()))
            if dimension.choices:
                return params[dimension.name]
            return dimension.at(float(np.clip(place + REACH * generator.normal(), 0, 1)))

        return self.made(moved)


def goes_on(step: Step) -> bool:
    """Whether another step like it goes on from where this one ends, and does nothing else once more."""
    if isinstance(step, Distill):
        return step.student == "same" and step.teacher != "self" and not step.fresh and not step.assistants
    return type(step) is Finetune


def merged(recipe: Recipe) -> list[Step]:
    """The steps, with trainings that only go on from the one before taken as one of all their epochs."""
    steps: list[Step] = []
    for step in recipe:
        before = steps[-1] if steps else None
        if isinstance(step, Training) and isinstance(before, Training) and goes_on(step):
            longer = step.model_copy(update={"epochs": before.epochs})
            if longer == before:
                steps[-1] = step.model_copy(update={"epochs": before.epochs + step.epochs})
                continue
        steps.append(step)
    return steps


def _switch(step: str) -> Dimension:
    return Dimension(step, (False, True))


def _allocations(wishes: Mapping[str, Any]) -> dict[str, Dimension]:
    """The dimensions of how ratios are allocated."""
    ways = wishes.get(ALLOCATION, ["knobs", "sensitivity"])
    choices = tuple(ways) if isinstance(ways, (list, tuple, set, frozenset)) else (ways,)
    for way in choices or ("",):
        lookup(ALLOCATIONS, way, "allocation")
    found = {ALLOCATION: Dimension(ALLOCATION, choices)}
    if STRENGTH in wishes:
        wish = wishes[STRENGTH]
        low, high = wish if isinstance(wish, tuple) and len(wish) == 2 else (wish, wish)
        if not 0 <= low <= high <= 1:
            raise WorkbenchError(f"A strength of {low} to {high} can't be searched.", "Give a range within 0 and 1.")
        found[STRENGTH] = Dimension(STRENGTH, low=low, high=high)
    return found


def _dimensions(step: str, wishes: Mapping[str, Any], layers: Sequence[str] = ()) -> dict[str, Dimension]:
    declared = {knob.name: knob for knob in knobs(STEPS[step])}
    for key in wishes:
        owner, _, name = key.partition(".")
        if owner == step and name and name not in declared:
            raise WorkbenchError(f"{STEPS[step].__name__} has no knob '{name}'.", nearest(name, list(declared)))
    found = {}
    for name, knob in declared.items():
        key = f"{step}.{name}"
        if knob.kind == "layers" and key in wishes and _free(wishes[key]):
            for layer in layers:
                own = f"{step}{OWN}{layer}"
                if isinstance(wishes[key], tuple):
                    low, high = wishes[key]
                    _within(key, {layer: low})
                    _within(key, {layer: high})
                    found[own] = Dimension(own, low=low, high=high, step=knob.step or 0.05)
                else:
                    for choice in wishes[key]:
                        _within(key, {layer: choice})
                    found[own] = Dimension(own, tuple(wishes[key]))
        elif key in wishes or not knob.advanced:
            dimension = _dimension(key, knob, wishes.get(key))
            if dimension is not None:
                found[key] = dimension
    return found


def _free(wish: Any) -> bool:
    """Whether it is a range or choices for each layer, not whole tables to choose from."""
    return isinstance(wish, (tuple, list)) and len(wish) > 1 and all(isinstance(x, (int, float)) for x in wish)


def _dimension(key: str, knob: Knob, wish: Any) -> Dimension | None:
    figures = knob.kind in ("share", "number", "integer")
    if isinstance(wish, tuple) and len(wish) == 2 and figures:
        low, high = wish
        if low > high:
            raise WorkbenchError(f"The range of {key} goes from {low:g} to {high:g}.", "Give the lower one first.")
        _within(key, low)
        _within(key, high)
        return _range(key, knob, low, high)
    if wish is not None:
        choices = tuple(wish) if isinstance(wish, (list, set, frozenset)) else (wish,)
        if not choices:
            raise WorkbenchError(f"There is nothing to choose from for {key}.", "Give at least one value.")
        for choice in choices:
            _within(key, choice)
        return Dimension(key, choices)
    if knob.kind == "choice":
        return Dimension(key, knob.choices)
    if knob.kind == "switch":
        return Dimension(key, (False, True))
    if knob.low is None or knob.high is None:
        return None  # a text or a table has no range
    return _range(key, knob, knob.low, knob.high)


def _range(key: str, knob: Knob, low: float, high: float) -> Dimension:
    step = None if knob.log else knob.step
    return Dimension(key, low=low, high=high, step=step, log=knob.log, whole=knob.kind == "integer")


def _within(key: str, value: Any) -> None:
    """Let the declaration judge: what it refuses is not searched."""
    step, _, name = key.partition(".")
    STEPS[step](**{name: value})
