"""How long a recipe takes to carry out, by what trials took."""

import copy
import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

from workbench.evaluation import task_of
from workbench.recipe import Recipe
from workbench.steps import Distill, Sparsify
from workbench.steps.finetune import Training

if TYPE_CHECKING:
    from workbench.study import Study

MARGIN = 1.15  # what does not fit for sure is not begun
BATCH = 128  # samples of the update that tells how long an epoch takes, before one was seen
PRIOR = 0.3  # of an epoch of the whole model: the guess of what is left of it where nothing is left to multiply


@dataclass(frozen=True)
class Costs:
    """Seconds of a trial without training, of each epoch whatever the model, and of each epoch of the whole model.

    An epoch takes a part that stays and one that goes with the multiplications, by non-negative least squares over
    what was seen and a guess that counts as two trials more: that three tenths stay. The baseline is the first trial
    of all, which also waits for imports: it counts only where there is no other. Before any training was seen, an
    epoch is as long as one update on this machine, times the updates in it.
    """

    fixed: float
    least: float
    whole: float

    @classmethod
    def known(cls, study: "Study") -> "Costs":
        """From the trials of a study."""
        done = [t for t in study.trials if t.state == "complete" and t.seconds and t.metrics]
        seen = [(epochs(t.recipe), t.metrics.macs, t.seconds or 0.0) for t in done if len(t.recipe) and t.metrics]
        plain = [seconds for count, _, seconds in seen if count == 0] or [t.seconds or 0.0 for t in done[:1]]
        fixed = float(np.median(plain)) if plain else 0.0
        macs = max(1, done[0].metrics.macs) if done and done[0].metrics else 1
        trained = [(count, left / macs, max(seconds - fixed, 0.01)) for count, left, seconds in seen if count]
        whole = [seconds / count / (PRIOR + (1 - PRIOR) * share) for count, share, seconds in trained]
        one = float(np.median(whole)) if whole else _epoch(study)
        rows = [(1.0, 1.0, one), (1.0, 0.0, PRIOR * one)]
        rows += [(1.0, share, seconds / count) for count, share, seconds in trained]
        # relative to what each took, so that long trainings count no more than short ones
        table = np.array([[constant / each, share / each] for constant, share, each in rows])
        least, more = nnls(table, np.ones(len(rows)))[0]
        return cls(fixed, float(least), float(least + more))

    def seconds(self, recipe: Recipe, macs: float = 1.0, done: int = 0) -> float:
        """What a recipe will take, on the safe side.

        Parameters
        ----------
        recipe : Recipe
        macs : float
            The share of the model's multiplications that it leaves.
        done : int
            So many of its first steps need not be done.
        """
        each = self.least + (self.whole - self.least) * min(macs, 1.0)
        return MARGIN * (self.fixed + each * epochs(recipe, done))


@functools.cache
def _epoch(study: "Study") -> float:
    """Seconds of an epoch, by one update of the unpruned model."""
    import torch

    train, module = study.dataset.train, copy.deepcopy(study.module).to(study.device).train()
    inputs = torch.from_numpy(study.dataset.prepare(train.inputs[:BATCH])).to(study.device)
    labels = torch.from_numpy(train.labels[:BATCH]).to(study.device)
    for _ in range(2):  # the first one also warms up
        began = time.monotonic()
        loss = task_of(study.dataset).loss(module(inputs), labels)
        loss.backward()
        loss.item()  # a GPU is waited for
        spent = time.monotonic() - began
    return spent * len(train) / len(labels)


def epochs(recipe: Recipe, done: int = 0) -> float:
    """Passes over the training set, of all steps together but for those that are done."""
    count = 0.0
    for step in recipe.steps[done:]:
        if isinstance(step, Training):
            rounds = step.rounds if isinstance(step, Sparsify) and step.method in ("iterative", "lottery") else 1
            assistants = 1 + step.assistants if isinstance(step, Distill) else 1
            count += step.epochs * rounds * assistants
    return count
