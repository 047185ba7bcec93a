"""How long a recipe takes to carry out, by what trials took."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.recipe import Recipe
from workbench.steps import Distill, Sparsify
from workbench.steps.finetune import Training

if TYPE_CHECKING:
    from workbench.study import Study

MARGIN = 1.15  # what does not fit for sure is not begun
UNKNOWN_EPOCH = 3.0  # an epoch, as a multiple of a trial without training, before one was seen


@dataclass(frozen=True)
class Costs:
    """Seconds of a trial without training, and of each epoch; medians of what was seen."""

    fixed: float
    epoch: float

    @classmethod
    def known(cls, study: "Study") -> "Costs":
        """From the trials of a study."""
        seen = [(epochs(t.recipe), t.seconds) for t in study.trials if t.state == "complete" and t.seconds]
        plain = [seconds for count, seconds in seen if count == 0]
        fixed = float(np.median(plain)) if plain else 0.0
        each = [max(seconds - fixed, 0.01) / count for count, seconds in seen if count]
        return cls(fixed, float(np.median(each)) if each else UNKNOWN_EPOCH * fixed)

    def seconds(self, recipe: Recipe) -> float:
        """What a recipe will take, on the safe side."""
        return MARGIN * (self.fixed + self.epoch * epochs(recipe))


def epochs(recipe: Recipe) -> float:
    """Passes over the training set, of all steps together."""
    count = 0.0
    for step in recipe:
        if isinstance(step, Training):
            rounds = step.rounds if isinstance(step, Sparsify) and step.method in ("iterative", "lottery") else 1
            assistants = 1 + step.assistants if isinstance(step, Distill) else 1
            count += step.epochs * rounds * assistants
    return count
