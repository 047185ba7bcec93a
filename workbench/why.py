"""Why isn't it faster? Sentences, each from something that was measured."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from workbench.alone import faster_wider, zeros_speedup
from workbench.errors import WorkbenchError
from workbench.latency import paired
from workbench.layers import Layer, batch_of, layers_of, profiled
from workbench.profiling import Operation
from workbench.roofline import BOUNDS, Roofline, roofline

if TYPE_CHECKING:
    from workbench.trial import Trial

NOTABLE = 0.05  # share of the time from which on a cause is told
LARGE = 0.3  # share of the time from which on a layer limits the whole, or small layers do
POOR = 0.2  # share of the roofline below which a layer is bound by its kernel rather than by the machine
MANY = 8  # times the batch that a small one is set against
GAIN = 1.5  # in inputs per second, from which on a batch counts as small


@dataclass(frozen=True)
class Cause:
    """One reason, and the share of the time that it concerns."""

    kind: str
    share: float
    sentence: str


@dataclass(frozen=True, eq=False)
class Case:
    """What the rules look at: a trial, its layers and operations with their times, and this machine's roofline."""

    trial: "Trial"
    layers: list[Layer]
    operations: list[Operation]
    roof: Roofline

    @cached_property
    def total(self) -> float:
        """Milliseconds of all operations of a call."""
        return sum(operation.milliseconds for operation in self.operations)

    @cached_property
    def by_time(self) -> list[Layer]:
        """The layers, slowest first."""
        return sorted((layer for layer in self.layers if layer.milliseconds), key=self.share, reverse=True)

    def share(self, layer: Layer) -> float:
        """Of the time of a call."""
        return (layer.milliseconds or 0.0) / self.total

    def bound(self, layer: Layer) -> str:
        """``compute``, ``memory`` or ``overhead``."""
        return self.roof.bound(layer.macs * self.batch, layer.moved(self.batch), layer.integer)

    def reached(self, layer: Layer) -> float:
        """Of the speed that the roofline allows; 1 where it is a little above, as roofs are measured too."""
        limits = self.roof.limits(layer.macs * self.batch, layer.moved(self.batch), layer.integer)
        return min(1.0, max(limits.values()) * 1e3 / layer.milliseconds) if layer.milliseconds else 0.0

    @property
    def batch(self) -> int:
        return self.trial.study.batch


@dataclass(frozen=True, eq=False)
class Why:
    """The answer for one trial."""

    case: Case
    headline: str
    causes: list[Cause]

    def sentences(self) -> list[str]:
        """The headline, the causes that concern most of the time first, and what it was held against."""
        return [self.headline, *(cause.sentence for cause in self.causes), f"This machine at best: {self.case.roof}."]

    def table(self) -> list[dict[str, str]]:
        """One row of texts for each layer: its time, what bounds it, and how near it comes to this machine's best."""
        case = self.case
        return [
            {
                "layer": layer.name or "(the model)",
                "ms": f"{layer.milliseconds:.3f}",
                "share": f"{case.share(layer):.0%}",
                "MACs": f"{layer.macs * case.batch:,}",
                "bound": BOUNDS[case.bound(layer)],
                "of the best": f"{case.reached(layer):.0%}",
            }
            for layer in case.layers
            if layer.milliseconds
        ]

    def __repr__(self) -> str:
        return "\n".join(self.sentences())


def why(trial: "Trial") -> Why:
    """Find out, in some seconds, what keeps a trial from being faster."""
    if trial.metrics is None or trial.artifact is None:
        raise WorkbenchError(f"Trial {trial.number} has no artifact: it {trial.state}.", "Choose a complete trial.")
    if trial.study.device != "cpu":
        raise WorkbenchError("The time of each layer is only measured on the CPU.", "Make a study with device='cpu'.")
    case = examine(trial)
    causes = [cause for rule in RULES if (cause := rule(case))]
    return Why(case, headline_of(trial, case.layers), sorted(causes, key=lambda cause: -cause.share))


def examine(trial: "Trial") -> Case:
    """Time a trial's operations, and set them against this machine."""
    operations = profiled(trial)
    return Case(trial, layers_of(trial, operations), operations, roofline(trial.study.runtime, trial.study.threads))


def promise(before: list[Layer], after: list[Layer]) -> float:
    """How much less arithmetic there is: the ratio of sum(MACs x bits of a weight x share of weights that aren't 0)."""
    return _work(before) / _work(after)


def _work(layers: list[Layer]) -> float:
    return sum(layer.macs * layer.bits * (1 - layer.zeros) for layer in layers) or 1.0


def headline_of(trial: "Trial", layers: list[Layer]) -> str:
    """The measured speed in a sentence, against what the smaller arithmetic might promise."""
    assert trial.metrics is not None
    speed = trial.metrics.speedup
    if not len(trial.recipe):
        return "This is the baseline: what follows says where its time goes."
    promised = promise(layers_of(trial.study.baseline), layers)
    less = f"{promised:.1f}x that its arithmetic (operations x bits) might promise"
    if speed is None:
        return "No speed is claimed for this trial."
    if trial.metrics.verdict == "faster":
        said = f"{speed.value:.2f}x faster [{speed.low:.2f} to {speed.high:.2f}]"
        return (
            f"{said}, not the {less}." if promised > 1.1 * speed.high else f"{said}: all that its arithmetic promises."
        )
    change = "slower" if trial.metrics.verdict == "slower" else "no measurable change in speed"
    said = f"{change[0].upper()}{change[1:]} ({speed.value:.2f}x [{speed.low:.2f} to {speed.high:.2f}])"
    return f"{said}, not the {less}." if promised > 1.1 else f"{said}."


def slowest_layer(case: Case) -> Cause | None:
    """The layer that limits the whole (Amdahl 1967)."""
    if not case.by_time or case.share(case.by_time[0]) < LARGE:
        return None
    layer = case.by_time[0]
    share, reached, bound = case.share(layer), case.reached(layer), BOUNDS[case.bound(layer)]
    best = f"{reached:.0%} of what this machine can do"
    how = f"which is {bound} and runs at {best}" if reached >= POOR else f"whose kernel reaches only {best}"
    rest = (
        f"without it the whole could be {1 / (1 - share):.1f}x faster at most"
        if share < 0.95
        else "nothing else counts"
    )
    return Cause("slowest layer", share, f"{share:.0%} of the time is in {_name(layer)}, {how}: {rest}.")


def simulated(case: Case) -> Cause | None:
    """What no kernel computes with."""
    assert case.trial.metrics is not None
    said = case.trial.metrics.simulated
    return Cause("simulated", 1.0, f"Simulated, so that it can't be faster: {' '.join(said)}") if said else None


def zeros_run_dense(case: Case) -> Cause | None:
    """Zeros that are multiplied like any number: the slowest layer that has many is timed with and without."""
    sparse = [layer for layer in case.by_time if layer.zeros >= LARGE and case.share(layer) >= NOTABLE]
    if not sparse:
        return None
    layer = sparse[0]
    gain, due = zeros_speedup(case.trial, layer), 1 / (1 - min(layer.zeros, 0.999))
    if gain.high > (1 + due) / 2:
        return None
    return Cause(
        "zeros run dense",
        sum(map(case.share, sparse)),
        f"{layer.zeros:.0%} of {_name(layer)}'s weights are zero, but {case.trial.study.runtime.title} multiplies with "
        f"them as with any number: alone, it is {gain.value:.2f}x [{gain.low:.2f} to {gain.high:.2f}] as fast as "
        "without zeros. Prune whole channels to be faster.",
    )


def odd_channels(case: Case) -> Cause | None:
    """Channel counts that leave part of each vector unused: the slowest such layer is timed against a wider one."""
    last = case.layers[-1].name if case.layers else None  # its outputs are the classes, which nobody can choose
    for layer in case.by_time[:2]:
        if layer.name == last or case.share(layer) < 2 * NOTABLE or case.bound(layer) == "overhead":
            continue
        if found := faster_wider(case.trial, layer):
            return Cause(
                "odd channels",
                case.share(layer),
                f"{_name(layer)}'s {layer.channels} channels waste part of each vector: with {found.channels} it does "
                f"{found.more:.2f} times the arithmetic in {1 / found.speedup.value:.2f} "
                f"[{1 / found.speedup.high:.2f} to {1 / found.speedup.low:.2f}] of the time. Round channels to a "
                f"multiple of {found.multiple}.",
            )
    return None


def conversions(case: Case) -> Cause | None:
    """Floats turned into integers and back, and numbers laid out anew."""
    turned = sum(operation.milliseconds for operation in case.operations if operation.converts) / case.total
    moved = sum(operation.milliseconds for operation in case.operations if operation.reorders) / case.total
    parts = {"into turning floats into integers and back": turned, "into laying the same numbers out anew": moved}
    said = " and ".join(f"{share:.0%} {what}" for what, share in parts.items() if share >= NOTABLE)
    return (
        Cause("conversions", turned + moved, f"Of the time, {said}: arithmetic is only in the rest.") if said else None
    )


def floats_left(case: Case) -> Cause | None:
    """Layers that a quantized model still computes with floats."""
    floats = [layer for layer in case.by_time if not layer.integer]
    share = sum(map(case.share, floats))
    if share < NOTABLE or all(layer.bits == 32 for layer in case.layers):
        return None
    only = any(layer.bits < 32 for layer in floats)
    stored = " (fewer bits are only stored, and turned into floats at each run)" if only else ""
    return Cause(
        "floats left", share, f"{share:.0%} of the time is still arithmetic with floats: {_names(floats)}{stored}."
    )


def small_layers(case: Case) -> Cause | None:
    """Many layers with so little to do that starting them takes longest."""
    small = [layer for layer in case.by_time if case.bound(layer) == "overhead"]
    lost = [o for o in case.operations if o.layer is None and o.milliseconds < 2e3 * case.roof.overhead]
    share = sum(map(case.share, small)) + sum(operation.milliseconds for operation in lost) / case.total
    if share < LARGE or len(small) + len(lost) < 3:
        return None
    return Cause(
        "small layers",
        share,
        f"{len(small) + len(lost)} of {len(case.operations)} operations are so small that starting one takes longer "
        f"than its arithmetic, at least {case.roof.overhead * 1e6:.1f} microseconds each: {share:.0%} of the time.",
    )


def small_batch(case: Case) -> Cause | None:
    """So few inputs in a call that what each call costs anyway counts most: timed against a larger batch."""
    study = case.trial.study
    session = case.trial.load()
    few, many = batch_of(study.dataset, case.batch), batch_of(study.dataset, MANY * case.batch)
    ratio = paired(lambda: session(few), lambda: session(many)).speedup
    if MANY * ratio.low < GAIN:
        return None
    each = [1 / (MANY * r) for r in (ratio.value, ratio.high, ratio.low)]
    return Cause(
        "small batch",
        max(0.0, 1 - each[0]),
        f"A batch of {case.batch} is small: in one of {MANY * case.batch}, an input takes {each[0]:.2f} "
        f"[{each[1]:.2f} to {each[2]:.2f}] of the time, as calls and weights are then shared.",
    )


RULES: list[Callable[[Case], Cause | None]] = [
    slowest_layer,
    simulated,
    zeros_run_dense,
    odd_channels,
    conversions,
    floats_left,
    small_layers,
    small_batch,
]


def _name(layer: Layer) -> str:
    return layer.name or "the only layer"


def _names(layers: list[Layer]) -> str:
    told = ", ".join(map(_name, layers[:3]))
    return told + (f" and {len(layers) - 3} more" if len(layers) > 3 else "")
