"""Trainings that go on from the one before: what a promoted recipe is made of, and how it is known again."""

from workbench.recipe import Recipe
from workbench.steps import Distill, Finetune, Step
from workbench.steps.finetune import Training


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
