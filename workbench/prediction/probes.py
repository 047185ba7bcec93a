"""Probes: the accuracy of a recipe without its trainings, tried in memory on some validation samples."""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from workbench import lines
from workbench.carry_out import context_of
from workbench.errors import WorkbenchError
from workbench.quantization.activations import rounded_inputs
from workbench.recipe import Recipe
from workbench.sensitivity import SAMPLES, logits
from workbench.steps import Prune, Quantize, ShareWeights
from workbench.steps.base import Step, Work
from workbench.steps.finetune import Training
from workbench.threads import threads

if TYPE_CHECKING:
    from workbench.study import Study

RATIOS = (0.3, 0.6, 0.15, 0.45, 0.75, 0.9)


@dataclass(frozen=True)
class Probe:
    """What came out: so many of so many samples right, without the recipe's trainings."""

    recipe: dict
    right: int
    samples: int


class Probes:
    """Probes in a file of the study, one line each, by the hash of the recipe that was tried."""

    def __init__(self, path: Path):
        self.path = path
        self.found = {Recipe.from_dict(fact["recipe"]).hash: Probe(**fact) for fact in lines.read(path)}

    def of(self, recipe: Recipe) -> Probe | None:
        """What was found of a recipe, its trainings left out; None where it wasn't tried."""
        return self.found.get(without_training(recipe).hash)

    def add(self, probe: Probe) -> None:
        lines.append(self.path, asdict(probe))
        self.found[Recipe.from_dict(probe.recipe).hash] = probe


def probes_of(study: "Study") -> Probes:
    """The study's probes so far."""
    return Probes(study.path / "prediction" / "probes.jsonl")


def without_training(recipe: Recipe) -> Recipe:
    """The recipe's other steps: what it is before anything is trained."""
    return Recipe([step for step in recipe if not isinstance(step, Training)], recipe.seed)


def probe(study: "Study", recipe: Recipe, samples: int = SAMPLES) -> Probe:
    """Try a recipe without its trainings in memory: no file, no timing.

    Raises
    ------
    WorkbenchError
        As the steps do.
    """
    bare, split = without_training(recipe), study.dataset.validation
    work = Work(copy.deepcopy(study.module))
    with threads(1):
        for step in bare:
            torch.manual_seed(recipe.seed)
            step.apply(work, context_of(study, recipe.seed))
        inputs = torch.from_numpy(study.dataset.prepare(split.inputs[:samples]))
        with rounded_inputs(work.module, work.activations):
            answers = logits(work.module.float(), inputs).argmax(1).numpy()
    return Probe(bare.to_dict(), int((answers == split.labels[:samples]).sum()), len(answers))


def ladder(study: "Study") -> list[Recipe]:
    """Recipes that span what users do: pruning by layer and over the model, single weights, bits, and both together."""
    ways: list[Callable[[float], Step]] = []
    if study.outline.structure("channel") is not None:
        ways += [lambda r: Prune(ratio=r), lambda r: Prune(ratio=r, scope="global")]
    ways.append(lambda r: Prune(ratio=r, granularity="weight", importance="l1"))
    recipes = [Recipe([way(ratio)]) for ratio in RATIOS for way in ways]
    for bits in (8, 4, 3, 2, 6):
        recipes.append(Recipe([Quantize(weight_bits=bits, simulate=True)]))
    recipes += [Recipe([Quantize(weight_bits=8, activation_bits=4, simulate=True)]), Recipe([ShareWeights(bits=3)])]
    recipes += [
        Recipe([ways[0](ratio), Quantize(weight_bits=bits, simulate=True)]) for ratio, bits in ((0.3, 4), (0.5, 8))
    ]
    return recipes


def measure_probes(study: "Study", report: Callable[..., None] = lambda **facts: None) -> Probes:
    """Try every recipe of the ladder that was not tried yet."""
    known, recipes = probes_of(study), ladder(study)
    for place, recipe in enumerate(recipes):
        report(share=place / len(recipes), message=f"Trying {recipe.describe()}")
        if known.of(recipe) is None:
            try:
                known.add(probe(study, recipe))
            except WorkbenchError:  # this model can't be had that way, which a trial will say
                continue
    return known
