"""How long a recipe takes to carry out, by what trials took."""

import copy
import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.evaluation import task_of
from workbench.recipe import Recipe
from workbench.steps import Distill, Sparsify
from workbench.steps.finetune import Training

if TYPE_CHECKING:
    from workbench.study import Study

MARGIN = 1.15  # what does not fit for sure is not begun
BATCH = 128  # samples of the update that tells how long an epoch takes, before one was seen


@dataclass(frozen=True)
class Costs:
    """Seconds of a trial without training, and of each epoch; medians of what was seen.

    The baseline is the first trial of all, which also waits for imports: it counts only where there is no other.
    Before any training was seen, an epoch is as long as one update on this machine, times the updates in it.
    """

    fixed: float
    epoch: float

    @classmethod
    def known(cls, study: "Study") -> "Costs":
        """From the trials of a study."""
        done = [t for t in study.trials if t.state == "complete" and t.seconds]
        seen = [(epochs(t.recipe), t.seconds or 0.0) for t in done if len(t.recipe)]
        plain = [seconds for count, seconds in seen if count == 0] or [t.seconds or 0.0 for t in done[:1]]
        fixed = float(np.median(plain)) if plain else 0.0
        each = [max(seconds - fixed, 0.01) / count for count, seconds in seen if count]
        return cls(fixed, float(np.median(each)) if each else _epoch(study))

    def seconds(self, recipe: Recipe) -> float:
        """What a recipe will take, on the safe side."""
        return MARGIN * (self.fixed + self.epoch * epochs(recipe))


@functools.cache
def _epoch(study: "Study") -> float:
    """Seconds of an epoch, by one update of the unpruned model."""
    import torch

    train, module = study.dataset.train, copy.deepcopy(study.module).train()
    inputs = torch.from_numpy(study.dataset.prepare(train.inputs[:BATCH]))
    labels = torch.from_numpy(train.labels[:BATCH])
    for _ in range(2):  # the first one also warms up
        began = time.monotonic()
        task_of(study.dataset).loss(module(inputs), labels).backward()
        spent = time.monotonic() - began
    return spent * len(train) / len(labels)


def epochs(recipe: Recipe) -> float:
    """Passes over the training set, of all steps together."""
    count = 0.0
    for step in recipe:
        if isinstance(step, Training):
            rounds = step.rounds if isinstance(step, Sparsify) and step.method in ("iterative", "lottery") else 1
            assistants = 1 + step.assistants if isinstance(step, Distill) else 1
            count += step.epochs * rounds * assistants
    return count
