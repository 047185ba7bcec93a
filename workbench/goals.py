"""What people want of a compressed model, each with a recipe to begin with."""

from dataclasses import dataclass

from workbench.errors import WorkbenchError, lookup
from workbench.recipe import Recipe
from workbench.steps import Distill, Half, Prune, Quantize, Step
from workbench.study import Study


@dataclass(frozen=True)
class Goal:
    """A wish, and the steps that usually serve it.

    Attributes
    ----------
    name, title : str
    says : str
        One plain sentence: what the recipe does.
    steps : tuple of Step
    """

    name: str
    title: str
    says: str
    steps: tuple[Step, ...]

    def recipe(self, study: Study) -> Recipe:
        """The steps, without those that this study's runtime has no kernels for."""
        return Recipe([step for step in self.steps if _runs(study, step)])


GOALS: dict[str, Goal] = {
    goal.name: goal
    for goal in (
        Goal(
            "smaller",
            "Smaller",
            "Cuts out 70 % of the channels, lets the rest learn from the whole model, and stores 8 bits per weight.",
            (Prune(ratio=0.7), Distill(epochs=2), Quantize()),
        ),
        Goal(
            "faster",
            "Faster",
            "Halves the channels, to counts that processors like, trains again, and computes with 8-bit integers.",
            (Prune(ratio=0.5, round_to=8), Distill(), Quantize()),
        ),
        Goal(
            "balanced",
            "Balanced",
            "Cuts out 30 % of the channels, trains again, and computes with 8-bit integers.",
            (Prune(ratio=0.3), Distill(), Quantize()),
        ),
        Goal(
            "accurate",
            "No accuracy lost",
            "Cuts nothing out: stores 16-bit floats instead of 32, which halves the file and seldom changes an answer.",
            (Half(),),
        ),
    )
}


def goal_recipe(name: str, study: Study) -> Recipe:
    """The recipe of a goal for a study.

    Raises
    ------
    WorkbenchError
        If there is no such goal, or the study's runtime can run nothing of it, or not export anything here.
    """
    study.runtime.check_export()
    recipe = lookup(GOALS, name, "goal").recipe(study)
    if not len(recipe):
        raise WorkbenchError(
            f"The runtime '{study.runtime.name}' has no kernels for the goal '{name}'.", "Choose another goal."
        )
    return recipe


def _runs(study: Study, step: Step) -> bool:
    if isinstance(step, Half) and step.format not in study.runtime.floats:
        return False
    try:
        study.check(Recipe([step]))
    except WorkbenchError:
        return False
    return True
