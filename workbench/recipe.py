"""A recipe: the whole truth of how a compressed model came to be."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from workbench.disk import write, writing
from workbench.errors import WorkbenchError, lookup
from workbench.rules import check_order, meaning_of
from workbench.steps import STEPS, Step

VERSION = 1


class Recipe:
    """An ordered, immutable list of steps, and the seed of all their chance.

    Parameters
    ----------
    steps : iterable of Step
        Carried out in this order; none at all means the baseline.
    seed : int

    Raises
    ------
    WorkbenchError
        If the steps can't follow each other in this order.
    """

    __slots__ = ("_hash", "seed", "steps")
    steps: tuple[Step, ...]
    seed: int
    _hash: str

    def __init__(self, steps: Iterable[Step] = (), seed: int = 0):
        steps = tuple(steps)
        for step in steps:
            if not isinstance(step, Step):
                raise WorkbenchError(f"{step!r} is not a step.", f"A recipe is made of {', '.join(_titles())}.")
        check_order(steps)
        if not 0 <= int(seed) < 2**32:
            raise WorkbenchError(f"The seed can't be {seed}.", "Give a whole number from 0 to 4294967295.")
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "seed", int(seed))
        object.__setattr__(self, "_hash", "")  # told when somebody asks

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("A recipe is immutable; make another one.")

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Recipe) and self.to_dict() == other.to_dict())

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        seed = f", seed={self.seed}" if self.seed else ""
        return f"Recipe([{', '.join(step.describe() for step in self)}]{seed})"

    def _repr_html_(self) -> str:
        from workbench.cards import recipe_card

        return recipe_card(self)

    def __reduce__(self) -> tuple:
        return Recipe, (self.steps, self.seed)

    @property
    def hash(self) -> str:
        """SHA-256 (16 hex digits) over every knob of every step, defaults included, and the seed."""
        if not self._hash:
            canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
            object.__setattr__(self, "_hash", hashlib.sha256(canonical.encode()).hexdigest()[:16])
        return self._hash

    def describe(self) -> str:
        """The recipe in a line, such as ``Prune(ratio=0.3) + Quantize``."""
        return " + ".join(step.describe() for step in self) or "Baseline"

    @property
    def meaning(self) -> list[str]:
        """What the order of the steps means, in sentences."""
        return meaning_of(self.steps)

    def to_dict(self) -> dict:
        """Plain data: what the YAML file holds."""
        steps = [{step.key(): step.model_dump(mode="json")} for step in self]
        return {"workbench": VERSION, "seed": self.seed, "steps": steps}

    @classmethod
    def from_dict(cls, data: object) -> "Recipe":
        """The recipe in plain data; raises `WorkbenchError` on anything else."""
        if not isinstance(data, dict) or not isinstance(data.get("steps"), list):
            raise WorkbenchError("This is not a recipe.", "A recipe is a mapping with a list called 'steps'.")
        if data.get("workbench", VERSION) != VERSION:
            raise WorkbenchError(f"The recipe is of version {data['workbench']}.", f"This program reads {VERSION}.")
        steps = []
        for entry in data["steps"]:
            if not isinstance(entry, dict) or len(entry) != 1:
                raise WorkbenchError(f"{entry!r} is not a step.", "Write each as `- prune: {ratio: 0.5}`.")
            ((name, values),) = entry.items()
            values = {} if values is None else values
            if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
                raise WorkbenchError(f"The knobs of '{name}' are {values!r}.", "Write them as `{ratio: 0.5}`.")
            steps.append(lookup(STEPS, name, "step")(**values))
        seed = data.get("seed", 0)
        if not isinstance(seed, int):
            raise WorkbenchError(f"The seed is {seed!r}.", "Give a whole number.")
        return cls(steps, seed)

    def to_yaml(self) -> str:
        """The recipe as a YAML text."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    @classmethod
    def from_yaml(cls, text: str) -> "Recipe":
        """The recipe in a YAML text; raises `WorkbenchError` if it is none."""
        try:
            return cls.from_dict(yaml.safe_load(text))
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # an impossible date, or brackets without end
            raise WorkbenchError("The recipe is not valid YAML.", str(error).replace("\n", " ")) from error

    def to_python(self) -> str:
        """The recipe as Python code."""
        names = ", ".join(["Recipe", *sorted({type(step).__name__ for step in self})])
        steps = "".join(f"    {step!r},\n" for step in self)
        return f"from workbench import {names}\n\nrecipe = Recipe([\n{steps}], seed={self.seed})\n"

    def save(self, path: str | Path) -> None:
        """Write the recipe as YAML; raises `WorkbenchError` where it can't be written."""
        with writing(path):
            write(Path(path), self.to_yaml())

    @classmethod
    def load(cls, path: str | Path) -> "Recipe":
        """Read a recipe from a YAML file; raises `WorkbenchError` if it isn't there or is no recipe."""
        try:
            return cls.from_yaml(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise WorkbenchError(f"The recipe {path} can't be read.", f"{error}.") from error


def _titles() -> list[str]:
    return [step.__name__ for step in STEPS.values()]
