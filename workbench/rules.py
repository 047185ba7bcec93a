"""What may follow what in a recipe, and what an order means: a table of rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.steps.base import Step
from workbench.steps.finetune import Training
from workbench.steps.quantize import Quantize

Condition = Callable[[Step, Step], bool]


def _always(first: Step, later: Step) -> bool:
    return True


def _binary(step: Step) -> bool:
    return isinstance(step, Quantize) and 1 in step.widths


def _makes_zeros(step: Step) -> bool:
    """Whether a step sets single weights to zero, for good."""
    return step.key() == "sparsify" or getattr(step, "granularity", "") in ("weight", "n:m")


def _settles_values(step: Step) -> bool:
    """Whether a step decides which values single weights have, for good."""
    return _makes_zeros(step) or step.key() in ("quantize", "shareweights")


def _cuts_neighbours(step: Step) -> bool:
    """Whether a step removes some of a layer's inputs, so that others become neighbours."""
    return step.key() == "slim" or getattr(step, "granularity", "") in ("channel", "mlp", "head")


def _begins_afresh(step: Step) -> bool:
    """Whether a step draws all weights anew; of Sparsify only the lottery does."""
    return getattr(step, "fresh", False) and getattr(step, "method", "lottery") == "lottery"


@dataclass(frozen=True)
class Rule:
    """One row: what it means that a step comes after another, at once or with others between.

    Attributes
    ----------
    first, later : str
        A step's name in a recipe file; "training" is every step that trains, "any" every step.
    says : str
        What the order means, or why it is refused; names of the steps go in for ``{first}`` and ``{later}``.
    hint : str
        What to do instead; a rule that has one refuses, one without only tells.
    when : callable
        (first, later) -> whether the rule speaks of these two.
    """

    first: str
    later: str
    says: str
    hint: str = ""
    when: Condition = _always


NO_ZERO = "Prune whole channels, or quantize to 2 bits or more."
LAST = "Put Half at the end."
ONE_SET_OF_VALUES = "Choose one of the two: both decide which few values a weight may have."

RULES: tuple[Rule, ...] = (
    Rule(
        "quantize",
        "quantize",
        "the weights lie on a grid already, and a second one would round what is rounded.",
        "Keep one Quantize; give single layers other bits with its knob 'layers'.",
    ),
    Rule(
        "any",
        "quantize",
        "one bit knows no zero, so the zeros would be lost.",
        NO_ZERO,
        lambda first, later: _makes_zeros(first) and _binary(later),
    ),
    Rule(
        "quantize",
        "any",
        "one bit knows no zero, so no single weight can be removed.",
        NO_ZERO,
        lambda first, later: _binary(first) and _makes_zeros(later),
    ),
    Rule("shareweights", "quantize", "shared values would be moved onto a grid.", ONE_SET_OF_VALUES),
    Rule("quantize", "shareweights", "weights on a grid would be moved off it.", ONE_SET_OF_VALUES),
    Rule("half", "any", "its 16-bit floats would not stay so.", LAST),
    Rule("quantize", "half", "its floats are the scales of integers.", "Keep one of the two."),
    Rule("shareweights", "half", "a packed file holds floats of 32 bits.", "Keep one of the two."),
    Rule("pack", "half", "a packed file holds floats of 32 bits.", "Keep one of the two."),
    Rule(
        "quantize",
        "training",
        "{later} after Quantize is quantization-aware: weights and activations are rounded in every forward pass, and"
        " learn to do well so.",
    ),
    Rule(
        "training",
        "quantize",
        "Quantize after {first} rounds what was trained; training after Quantize instead, or as well, makes up for the"
        " rounding.",
    ),
    Rule(
        "any",
        "distill",
        "a student of another architecture would throw away what was done before.",
        "Put Distill first, or leave its knob student at 'same'.",
        lambda first, later: getattr(later, "student", "same") != "same",
    ),
    Rule(
        "any",
        "any",
        "fresh weights would undo what was done to the old ones.",
        "Leave its knob fresh off.",
        lambda first, later: _begins_afresh(later) and _settles_values(first),
    ),
    Rule(
        "prune",
        "any",
        "what it cuts out would leave groups of M weights in which more, or fewer, than N are kept.",
        "Cut channels first, and prune N:M after that.",
        lambda first, later: getattr(first, "granularity", "") == "n:m" and _cuts_neighbours(later),
    ),
    Rule("quantize", "prune", "Prune after Quantize judges weights that are rounded already."),
    Rule("prune", "quantize", "Quantize after Prune chooses its grid from the weights that are left."),
)


def check_order(steps: Sequence[Step]) -> None:
    """Refuse an order that makes no sense.

    Raises
    ------
    WorkbenchError
        With the rule's reason, and what to do instead.
    """
    for first, later, rule in _matches(steps):
        if rule.hint:
            raise WorkbenchError(f"{type(later).__name__} can't follow {type(first).__name__}: {rule.says}", rule.hint)


def meaning_of(steps: Sequence[Step]) -> list[str]:
    """What this order means: a sentence for each rule that speaks of it, in the order of the steps."""
    said = [
        rule.says.format(first=type(first).__name__, later=type(later).__name__)
        for first, later, rule in _matches(steps)
        if not rule.hint
    ]
    return list(dict.fromkeys(said))


def _matches(steps: Sequence[Step]) -> list[tuple[Step, Step, Rule]]:
    return [
        (first, later, rule)
        for place, later in enumerate(steps)
        for first in steps[:place]
        for rule in RULES
        if _is(first, rule.first) and _is(later, rule.later) and rule.when(first, later)
    ]


def _is(step: Step, kind: str) -> bool:
    return kind in ("any", step.key()) or (kind == "training" and isinstance(step, Training))
