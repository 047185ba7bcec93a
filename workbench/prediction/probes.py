"""Probes: the accuracy of a recipe without its trainings, tried in memory on some validation samples."""

import copy
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from workbench import lines
from workbench.carry_out import context_of
from workbench.errors import WorkbenchError
from workbench.layout import channels_last
from workbench.prediction.balanced import balanced
from workbench.prediction.choosing import choose_anchors
from workbench.prediction.families import explored, families
from workbench.prediction.mixtures import mixtures
from workbench.prediction.prospect import COSTLY, follow
from workbench.pruning.plan import replay
from workbench.quantization.activations import rounded_inputs
from workbench.recipe import Recipe
from workbench.sensitivity_scan import SAMPLES, logits
from workbench.steps import Half, Pack, Prune, Quantize, ShareWeights
from workbench.steps.base import Step, Work
from workbench.steps.finetune import Training
from workbench.threads import threads

if TYPE_CHECKING:
    from workbench.study import Study

RATIOS = (0.3, 0.6, 0.15, 0.45, 0.75, 0.9)


@dataclass(frozen=True)
class Probe:
    """What came out: so many of so many samples right, without the recipe's trainings.

    Attributes
    ----------
    recipe : dict
    right, samples : int
    sure : tuple of int
        The probability of the right class of each sample, in per mille; () where an earlier version tried it.
    balanced : bool
        Whether the samples are those of `workbench.prediction.balanced`, and not the first ones, as in an earlier
        version.
    """

    recipe: dict
    right: int
    samples: int
    sure: tuple[int, ...] = ()
    balanced: bool = False


class Probes:
    """Probes in a file of the study, one line each, by the hash of the recipe that was tried."""

    def __init__(self, path: Path):
        self.path = path
        self.found = {Recipe.from_dict(fact["recipe"]).hash: Probe(**fact) for fact in lines.read(path)}
        self._last: tuple[Recipe, str] | None = None

    def of(self, recipe: Recipe) -> Probe | None:
        """What was found of a recipe, its trainings left out; None where it wasn't tried."""
        last = self._last
        if last is None or last[0] is not recipe:  # of one recipe it is asked again and again
            last = self._last = recipe, without_training(recipe).hash
        return self.found.get(last[1])

    def share(self, recipe: Recipe) -> float | None:
        """The share answered right; None where it wasn't tried."""
        found = self.of(recipe)
        return found.right / found.samples if found else None

    def add(self, probe: Probe) -> None:
        lines.append(self.path, asdict(probe))
        self.found[Recipe.from_dict(probe.recipe).hash] = probe


def probes_of(study: "Study") -> Probes:
    """The study's probes so far."""
    return Probes(study.path / "prediction" / "probes.jsonl")


def without_training(recipe: Recipe) -> Recipe:
    """What a recipe is before anything is trained; with its seed only where that makes a difference."""
    steps = [step for step in recipe if not isinstance(step, Training)]
    return Recipe(steps, recipe.seed if any(map(_by_chance, steps)) else 0)


def _by_chance(step: Step) -> bool:
    if isinstance(step, Prune):
        return step.importance == "random"
    return not isinstance(step, (Half, Pack)) and not (isinstance(step, Quantize) and step.rounding != "adaround")


def probe(study: "Study", recipe: Recipe, samples: int = SAMPLES) -> Probe:
    """Try a recipe without its trainings in memory: no file, no timing.

    Raises
    ------
    WorkbenchError
        As the steps do.
    """
    bare, split = without_training(recipe), study.dataset.validation
    chosen = balanced(study, samples)
    work = Work(copy.deepcopy(study.module))
    with threads(1):
        for place, step in enumerate(bare):
            torch.manual_seed(recipe.seed)
            if place or not _quickly_pruned(study, work, step):
                step.apply(work, context_of(study, recipe.seed))
        inputs = torch.from_numpy(study.dataset.prepare(split.inputs[chosen]))
        with rounded_inputs(work.module, work.activations):
            channels_last(work.module.float(), inputs)
            answers = logits(work.module, inputs)
    labels = torch.from_numpy(split.labels[chosen]).long()
    sure = (1000 * answers.softmax(1).gather(1, labels[:, None])).nan_to_num().round().int().flatten().tolist()
    return Probe(bare.to_dict(), int((answers.argmax(1) == labels).sum()), len(labels), tuple(sure), True)


def _quickly_pruned(study: "Study", work: Work, step: Step) -> bool:
    """Prune by the scores that the outline already has; whether that could be done."""
    if not isinstance(step, Prune) or step.granularity != "channel" or step.scope == "latency":
        return False
    if step.target != "none" or step.importance in ("random", *COSTLY):
        return False
    cut = follow(Recipe([step]), study.outline, study.runtime).cut
    structure = study.outline.structure(step.granularity, step.importance)
    assert structure is not None
    edits = [
        group.edit(sorted(score.argsort(stable=True)[: group.units - cut["channel", group.name]].tolist()))
        for group, score in zip(structure.groups, structure.scores, strict=True)
        if cut["channel", group.name] < group.units
    ]
    replay(work.module, structure.example, edits)
    return True


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
        Recipe([ways[0](ratio), Quantize(weight_bits=bits, simulate=True)])
        for ratio, bits in ((0.3, 4), (0.5, 8), (0.2, 3), (0.45, 4))
    ]
    return recipes


def measure_probes(
    study: "Study",
    report: Callable[..., None] = lambda **facts: None,
    seconds: float = 0.0,
    wanted: Callable[[Recipe], bool] = lambda recipe: True,
    importances: Sequence[str] | None = None,
) -> Probes:
    """Try every recipe of the ladder that was not tried yet, then families of prunings as long as there is time.

    Parameters
    ----------
    study : Study
    report : callable
        Told of the progress; may raise `Cancelled`.
    seconds : float
        For the families, see `workbench.prediction.families`.
    wanted : callable
        Which of all recipes are worth trying.
    importances : sequence of str, optional
        Of the families; all that are quick to compute, if left out.
    """
    known, recipes = probes_of(study), [recipe for recipe in ladder(study) if wanted(recipe)]
    for place, recipe in enumerate(recipes):
        report(share=place / len(recipes) / 2, message=f"Trying {recipe.describe()}")
        try_out(study, known, recipe, {})
    if seconds <= 0:
        return known
    asked = [family for family in families(importances) if wanted(family.at(0.5))]
    if study.outline.structure("channel") is None:
        asked = [family for family in asked if family.granularity != "channel"]
    top, chance = study.measured_baseline().metrics, 1 / len(study.dataset.classes)
    assert top is not None
    seen: dict[tuple, Probe] = {}
    began = time.monotonic()
    for recipe in explored(asked, known.share, top.score.value, chance):
        spent = (time.monotonic() - began) / seconds
        if spent > 1:
            break
        report(share=0.5 + spent / 2, message=f"Trying {recipe.describe()}")
        try_out(study, known, recipe, seen)
    return known


def anchors_by_probes(study: "Study", report: Callable[..., None] = lambda **facts: None) -> None:
    """Choose the study's anchor points by what was probed, where that wasn't done yet.

    Parameters
    ----------
    study : Study
    report : callable
        Told of the progress; may raise `Cancelled`.
    """
    among = balanced(study, SAMPLES)
    fitting = [found for found in probes_of(study).found.values() if found.balanced and found.samples == len(among)]
    probed = [(Recipe.from_dict(found.recipe), found.right / found.samples) for found in fitting]
    top, chance = study.measured_baseline().metrics, 1 / len(study.dataset.classes)
    assert top is not None
    recipes = itertools.chain(mixtures(probed, top.score.value, chance), (recipe for recipe, _ in probed))
    choose_anchors(study, [found.sure for found in fitting], among, recipes, report)


def try_out(study: "Study", known: Probes, recipe: Recipe, seen: dict[tuple, Probe]) -> None:
    """Try a recipe that was not tried yet; what prunes the same channels as one that was `seen` comes out the same."""
    if known.of(recipe) is not None:
        return
    try:
        prospect = follow(recipe, study.outline, study.runtime)
        key = (prospect.importance, prospect.zeros, *sorted(prospect.cut.items()))
        found = seen[key] = seen.get(key) or probe(study, recipe)
        known.add(replace(found, recipe=recipe.to_dict()))
    except WorkbenchError:  # this model can't be had that way, which a trial will say
        return
