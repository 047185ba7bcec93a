"""What no recipe of a space can go below: operations and parameters by arithmetic, and the time of a trial."""

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.prediction.outline import Size
from workbench.prediction.prospect import follow
from workbench.pruning.allocation import rounded
from workbench.recipe import Recipe
from workbench.search.costs import Costs, epochs
from workbench.search.dimensions import Dimension
from workbench.search.goals import QUANTITIES, Goal
from workbench.search.rungs import Rungs
from workbench.search.space import Space
from workbench.steps import Prune

if TYPE_CHECKING:
    from workbench.study import Study

FOLLOWED = ("prune", "distill", "finetune", "quantize", "half")
"""Steps of which it is known what they leave of operations and parameters."""
UNCHANGED = ("weight", "n:m")
"""What is pruned by these stays as it is in the counts."""


def smallest(study: "Study", space: Space, solving: bool = True) -> Size | None:
    """Counts that no recipe of the space goes below; None where arithmetic doesn't tell.

    Parameters
    ----------
    study : Study
    space : Space
    solving : bool
        Whether ratios may come from a solver later, which knows no ratio of one layer.
    """
    prune = space.steps.get("prune", {})
    student = _choices(space.steps.get("distill", {}), "distill.student") or ["same"]
    granularity = _choices(prune, "prune.granularity") or ["channel"]
    followed = set(space.steps) <= set(FOLLOWED) and student == ["same"] and "prune.target" not in prune
    if not followed or not set(granularity) <= {"channel", *UNCHANGED}:
        return None
    structure = study.outline.structure("channel")
    if "channel" not in granularity or not prune or structure is None:
        return study.outline.whole_size
    multiples = _choices(prune, "prune.round_to") or [1]
    alike = _choices(prune, "prune.scope") == ["layer"] and not solving
    if alike and not any(name.startswith("prune.layers") for name in prune):
        ratio = max(_choices(prune, "prune.ratio"))
        cuts = [Recipe([Prune(ratio=ratio, round_to=multiple)]) for multiple in multiples]
        sizes = [follow(cut, study.outline, study.runtime).size for cut in cuts]
    else:  # no layer loses more than any may
        cut = lambda multiple: {("channel", g.name): rounded(g.least, g, multiple) for g in structure.groups}  # noqa: E731
        sizes = [study.outline.size(cut(multiple)) for multiple in multiples]
    best = min(sizes, key=lambda size: size.macs)
    return replace(best, parameters=min(size.parameters for size in sizes))


def check_limits(study: "Study", goal: Goal, space: Space, solving: bool = True) -> None:
    """Refuse limits that no recipe of the space can keep, where that is certain before any work."""
    asked = {name: goal.limits[name] for name in ("macs", "parameters") if name in goal.limits}
    least = smallest(study, space, solving) if asked else None
    for name, limit in asked.items() if least is not None else ():
        figure, quantity = getattr(least, name), QUANTITIES[name]
        if figure > limit:
            raise WorkbenchError(
                f"No recipe of this space has at most {quantity.text(limit)}: the least is {quantity.text(figure)}.",
                "Give a higher limit, or widen the space.",
            )


def quickest(study: "Study", space: Space) -> float:
    """Seconds that the trial takes at least that is done soonest."""
    rungs, costs, least = Rungs(space), Costs.known(study), smallest(study, space)
    free = [name for name in space.steps if name not in space.always]
    switches = [dict.fromkeys(free, False)] if space.always else [{name: name == on for name in free} for on in free]
    recipes = []
    for each in switches:
        with contextlib.suppress(WorkbenchError):  # the middle of some knobs can't be combined
            recipes.append(space.at(rungs.at(space.at(each)[1], 0))[0])
    left = least.macs / study.outline.whole_size.macs if least else 0.0
    return costs.seconds(min(recipes, key=epochs), left) if recipes else costs.fixed


def _choices(dimensions: dict[str, Dimension], name: str) -> list:
    """The values that a dimension may have, or the ends of its range; [] where there is none of the name."""
    if name not in dimensions:
        return []
    dimension = dimensions[name]
    return list(dimension.choices) or [dimension.low, dimension.high]
