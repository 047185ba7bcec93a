"""Where a search looks: knobs and their ranges, taken from the declarations, narrowed by the user."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import WorkbenchError, lookup
from workbench.recipe import Recipe
from workbench.runtimes import Runtime
from workbench.search.continuation import merged
from workbench.search.dimensions import ALLOCATION, ALLOCATIONS, OWN, STRENGTH, Dimension, allocations_of, dimensions_of
from workbench.steps import STEPS, Quantize, Step

if TYPE_CHECKING:
    from workbench.sensitivity import Sensitivity

ORDER = ("prune", "distill", "finetune", "quantize", "half")
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
    "half.format": ["float16"],
}
"""What is searched where the user says nothing: what usually pays, and what this machine has kernels for."""
SOLVED = (0.25, 0.5, 0.75, 0.9)  # of the range of ratios, or of bits: what a solver is asked for first
REACH, ANEW = 0.15, 0.2  # how far a neighbour's knobs move, as a share of their range; how many are drawn anew

Suggest = Callable[["Dimension"], Any]


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
        for key, wish in wishes.items():
            lookup(STEPS, key.split(".")[0], "step")
            if "." not in key and not isinstance(wish, bool):
                raise WorkbenchError(f"{key} can't be {wish!r} here.", "Give True to have the step always, or False.")
        solver = {key: wishes.pop(key) for key in (ALLOCATION, STRENGTH) if key in wishes}
        steps: dict[str, dict[str, Dimension]] = {}
        asked = dict.fromkeys(key.split(".")[0] for key in wishes)
        for name in [*ORDER, *(n for n in asked if n not in ORDER)]:
            if name not in asked or wishes.get(name) is False:
                continue
            steps[name] = dimensions_of(name, wishes, (layers or {}).get(name, ()))
        if "quantize" in steps and not runtime.kernels and not any(steps["quantize"]["quantize.simulate"].choices):
            if wishes.get("quantize") is True:
                raise WorkbenchError(
                    f"The runtime '{runtime.name}' has no integer kernels.",
                    "Choose the runtime 'onnxruntime', or search with 'quantize.simulate' on.",
                )
            del steps["quantize"]
        asked_for = any(key.split(".")[0] == "half" for key in narrowed or {})
        free = "quantize" in steps and wishes.get("quantize") is not True  # it takes the place of integers
        if "half" in steps and not asked_for and not (free and "float16" in runtime.floats):
            del steps["half"]
        allocations = allocations_of(solver)
        if "prune" in steps and sensitivity is not None and "prune.layers" not in wishes:
            steps["prune"].update(allocations)
        if not steps:
            raise WorkbenchError("This search space has no step.", "Leave at least one of them in.")
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
        return count if self.always else count - 1  # no step at all is the baseline

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
                whole = name == "half" and any(isinstance(step, Quantize) for step in steps)
                params[name] = not whole and suggest(_switch(name))
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
            solver = ALLOCATIONS[values.pop("allocation", "knobs")]
            if solver and values.get("granularity", "channel") == "channel":
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
        kept = {name: value for name, value in values.items() if name in ("importance", "round_to")}
        return {"ratio": 0.0, "layers": ratios} | kept

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
        """What solvers advise, by the names of dimensions: ratios and bits by layer, without and with training."""
        trainings = [name for name in self.steps if name not in ("prune", "quantize", "half")]
        return [
            {"prune": False, "quantize": True} | bits | {name: name == training for name in trainings}
            for bits in self._solved_bits()
            for training in ("", *trainings)
        ] + self._solved_ratios(trainings)

    def _solved_bits(self) -> list[dict[str, Any]]:
        """By an integer program over the sensitivity of each layer, for averages between fewest and most bits."""
        own = {d.name.partition(OWN)[2]: d for d in self.steps.get("quantize", {}).values() if OWN in d.name}
        among = {n: {int(width) for width in d.choices or range(int(d.low), int(d.high) + 1)} for n, d in own.items()}
        if not among or self.sensitivity is None:
            return []
        fewest, most = min(map(min, among.values())), max(map(max, among.values()))
        found: list[dict[str, Any]] = []
        for share in SOLVED:
            with contextlib.suppress(WorkbenchError):  # some layers may not have so few
                solved = self.sensitivity.bits(most - share * (most - fewest), among)
                found.append({own[name].name: width for name, width in solved.items()})
        return found

    def _solved_ratios(self, trainings: Sequence[str]) -> list[dict[str, Any]]:
        prune = self.steps.get("prune", {})
        if ALLOCATION not in prune:
            return []
        return [
            {"prune": True, "quantize": True, ALLOCATION: way, "prune.ratio": prune["prune.ratio"].at(share)}
            | {name: name == training for name in trainings}
            for way in prune[ALLOCATION].choices
            if way != "knobs"
            for share in SOLVED
            for training in ("", *trainings)
        ]

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether these values, by the names of dimensions, are some of this space; nothing is none of it."""
        dimensions = {d.name: d for steps in self.steps.values() for d in steps.values()}
        dimensions |= {name: _switch(name) for name in self.steps if name not in self.always}
        return bool(params) and all(n in dimensions and dimensions[n].place(v) is not None for n, v in params.items())

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


def _switch(step: str) -> Dimension:
    return Dimension(step, (False, True))
