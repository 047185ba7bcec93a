"""Where the time goes, and how near that is to what this machine can do: causes told by the roofline."""

from workbench.causes.base import LARGE, NOTABLE, Case, Cause, name_of, names_of
from workbench.layers import Layer
from workbench.roofline import BOUNDS

POOR = 0.2  # share of the roofline below which a layer is bound by its kernel rather than by the machine
ALL = 0.95  # share of the time from which on nothing else counts
LESS = 0.9  # of what the baseline reaches, below which arithmetic that was saved is lost again
LIMITED = {"compute": "arithmetic", "memory": "moving numbers", "overhead": "starting them"}


def bounds(case: Case) -> Cause | None:
    """What bounds the layers, by their share of the time (Williams, Waterman and Patterson 2009)."""
    if not case.alike or case.share(*case.alike[0]) >= ALL:
        return None  # what bounds that one is told with it
    groups = {bound: [layer for layer in _well(case) if case.bound(layer) == bound] for bound in LIMITED}
    told = {bound: layers for bound, layers in groups.items() if case.share(*layers) >= NOTABLE}
    if not told:
        return None
    said = "; ".join(
        f"{case.share(*layers):.0%} is in layers limited by {LIMITED[bound]} ({BOUNDS[bound]}), at "
        f"{_best(case.reached(*layers))}"
        for bound, layers in sorted(told.items(), key=lambda item: -case.share(*item[1]))
    )
    return Cause("bounds", sum(case.share(*layers) for layers in told.values()), f"Of the time, {said}.")


def slowest_layers(case: Case) -> Cause | None:
    """The layer, or the layers that all do the same, that limit the whole (Amdahl 1967)."""
    slowest = _limiting(case)
    if not slowest:
        return None
    share, reached, bound = case.share(*slowest), case.reached(*slowest), BOUNDS[case.bound(slowest[0])]
    one = len(slowest) == 1
    which = name_of(slowest[0]) if one else f"{len(slowest)} layers alike ({names_of(slowest)})"
    if reached >= POOR:
        how = f"which {'is' if one else 'are'} {bound} and {'runs' if one else 'run'} at {_best(reached)}"
    else:
        how = f"whose {'kernel reaches' if one else 'kernels reach'} only {_best(reached)}"
    faster = f"without {'it' if one else 'them'} the whole could be {1 / max(1 - share, 1e-9):.1f}x faster at most"
    rest = faster if share < ALL else "nothing else counts"
    return Cause("slowest layers", share, f"{share:.0%} of the time is in {which}, {how}: {rest}.")


def poor_kernels(case: Case) -> Cause | None:
    """Other layers that are far from what this machine can do."""
    told = _limiting(case)
    poor = [layer for layer in case.by_time if layer not in told and layer not in _well(case)]
    share = case.share(*poor)
    if share < NOTABLE:
        return None
    best = _best(case.reached(*poor))
    kernels = "kernel reaches" if len(poor) == 1 else "kernels reach"
    return Cause(
        "poor kernels", share, f"{share:.0%} of the time is in layers whose {kernels} only {best}: {names_of(poor)}."
    )


def less_efficient(case: Case) -> Cause | None:
    """Layers further from what this machine can do than those of the baseline: so much of the gain is lost in them."""
    if case.before is None or not case.by_time or not case.before.by_time:
        return None
    after, before = case.reached(*case.by_time), case.before.reached(*case.before.by_time)
    if after >= LESS * before:
        return None
    return Cause(
        "less efficient",
        case.share(*case.by_time) * (1 - after / before),
        f"Its layers are at {_best(after)}, those of the baseline at {before:.0%}: of what could be gained, a "
        f"factor of {before / after:.1f} is lost there.",
    )


def above_roofline(case: Case) -> Cause | None:
    """Layers that are faster than this machine was measured to be, even after that was measured again."""
    if not case.above:
        return None
    share, most = case.share(*case.above), max(map(case.reached, case.above))
    return Cause(
        "above the roofline",
        share,
        f"{share:.0%} of the time is in layers that reach up to {most:.0%} of what this machine can do: that was "
        "measured too low, or they need less arithmetic than is counted. Shares of it say little here.",
    )


def small_layers(case: Case) -> Cause | None:
    """Many layers with so little to do that starting them takes longest."""
    small = [layer for layer in case.by_time if case.bound(layer) == "overhead"]
    lost = [o for o in case.operations if o.layer is None and o.milliseconds < 2e3 * case.roof.overhead]
    share = case.share(*small) + sum(operation.milliseconds for operation in lost) / case.total
    if share < LARGE or len(small) + len(lost) < 3:
        return None
    return Cause(
        "small layers",
        share,
        f"{len(small) + len(lost)} of {len(case.operations)} operations are so small that starting one takes longer "
        f"than its arithmetic, at least {case.roof.overhead * 1e6:.1f} microseconds each: {share:.0%} of the time.",
    )


def _well(case: Case) -> list[Layer]:
    """The layers that come near enough to what bounds them to be bound by it, and not by their kernel."""
    return [layer for layer in case.by_time if case.reached(layer) >= POOR]


def _limiting(case: Case) -> list[Layer]:
    """Those layers that do the same and have most of the time, where that is a large part of it."""
    return case.alike[0] if case.alike and case.share(*case.alike[0]) >= LARGE else []


def _best(reached: float) -> str:
    return f"{reached:.0%} of what this machine can do"
