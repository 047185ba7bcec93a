"""Causes that are found by timing something against the same changed in one respect."""

from collections.abc import Iterable

from workbench.alone import MULTIPLES, Wider, faster_wider, zeros_speedup
from workbench.causes.base import LARGE, NOTABLE, Case, Cause, name_of
from workbench.latency import paired
from workbench.layers import Layer, batch_of

MOST = 4  # groups of layers that are timed
MANY = 8  # times the batch that a small one is set against
GAIN = 1.5  # in inputs per second, from which on a batch counts as small


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
        case.share(*sparse),
        f"{layer.zeros:.0%} of {name_of(layer)}'s weights are zero, but {case.trial.study.runtime.title} multiplies "
        f"with them as with any number: alone, it is {gain.value:.2f}x [{gain.low:.2f} to {gain.high:.2f}] as fast as "
        "without zeros. Prune whole channels to be faster.",
    )


def odd_channels(case: Case) -> Cause | None:
    """Channel counts that leave part of each vector unused: one layer of each kind is timed against a wider one."""
    last = case.layers[-1] if case.layers else None  # its outputs are the classes, which nobody can choose
    odd = [group for group in case.alike if last not in group and _odd(group[0]) and case.share(*group) >= NOTABLE]
    found = [
        (group, wider)
        for group in odd[:MOST]
        if case.bound(group[0]) != "overhead" and (wider := faster_wider(case.trial, group[0]))
    ]
    layers = [layer for group, _ in found for layer in group]
    share = case.share(*layers)
    if share < 2 * NOTABLE:
        return None
    one = len(layers) == 1
    which = f"{name_of(layers[0])}, whose" if one else f"{len(layers)} layers whose"
    widths = dict(sorted(pair for _, wider in found for pair in wider.widths.items()))
    low, value, high = _time(case, found)
    return Cause(
        "odd channels",
        share,
        f"{share:.0%} of the time is in {which} channels ({_list(widths)}) waste part of each vector: timed alone "
        f"with {_list(sorted(set(widths.values())))}, {'it does' if one else 'they do'} {_more(found):.2f} times the "
        f"arithmetic in {value:.2f} [{low:.2f} to {high:.2f}] of the time. Round channels to a multiple of "
        f"{max(wider.multiple for _, wider in found)}.",
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


def _odd(layer: Layer) -> bool:
    least, most = MULTIPLES[0] // 2, MULTIPLES[-1]
    return any(width % most for width in layer.weight[:2] if width >= least)


def _time(case: Case, found: list[tuple[list[Layer], Wider]]) -> list[float]:
    """Of the wider layers over that of the layers as they are: low, value and high; each counts by its time."""
    weights = [case.share(*group) for group, _ in found]
    return [
        sum(weight / getattr(wider.speedup, end) for weight, (_, wider) in zip(weights, found, strict=True))
        / sum(weights)
        for end in ("high", "value", "low")
    ]


def _more(found: list[tuple[list[Layer], Wider]]) -> float:
    """Times the arithmetic of all of them."""
    macs = [sum(layer.macs for layer in group) for group, _ in found]
    return sum(each * wider.more for each, (_, wider) in zip(macs, found, strict=True)) / sum(macs)


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
