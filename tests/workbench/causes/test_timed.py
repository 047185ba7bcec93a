"""Causes that are found by timing: on the zoo's ResNet-20, pruned to channels that no vector is filled by."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from workbench import Dataset, Prune, Recipe, Study
from workbench import roofline as roofline_module
from workbench.alone import Wider
from workbench.causes.base import LARGE, Case
from workbench.causes.limits import bounds
from workbench.causes.timed import odd_channels
from workbench.data import load_dataset
from workbench.estimates import Estimate
from workbench.profiling import Operation
from workbench.why import examine


@pytest.fixture(scope="module")
def clothes() -> Dataset:
    """Fashion-MNIST cut to a few samples."""
    whole = load_dataset("fashion_mnist")
    parts = {name: getattr(whole, name) for name in ("train", "validation")}
    cut = {name: (part.inputs[:200], part.labels[:200]) for name, part in parts.items()}
    return Dataset(**cut, classes=whole.classes, name=whole.name)


@pytest.fixture(scope="module")
def pruned(clothes, tmp_path_factory) -> Case:
    folder = tmp_path_factory.mktemp("resnet20")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(roofline_module.platformdirs, "user_cache_path", lambda name: folder / "cache")
        patch.setattr(roofline_module, "SECONDS", 0.05)
        return examine(Study("resnet20", clothes, path=folder / "study").run(Recipe([Prune(ratio=0.2)])))


def test_odd_channels_of_many_layers_that_are_each_a_small_part_of_the_time(pruned) -> None:
    assert pruned.share(pruned.by_time[0]) < LARGE
    cause = odd_channels(pruned)
    assert cause is not None and cause.kind == "odd channels"
    found = re.fullmatch(
        r"(\d+)% of the time is in (\d+) layers whose channels \(([\d, ]+)\) waste part of each vector: timed alone "
        r"with ([\d, ]+), they do (\d\.\d\d) times the arithmetic in (\d\.\d\d) \[(\d\.\d\d) to (\d\.\d\d)\] of the "
        r"time\. Round channels to a multiple of (8|16)\.",
        cause.sentence,
    )
    assert found is not None, cause.sentence
    widths, wider = ([int(width) for width in found[group].split(", ")] for group in (3, 4))
    assert set(widths) <= {width for layer in pruned.layers for width in layer.weight[:2]}
    assert all(width % 8 for width in widths) and not any(width % 8 for width in wider)
    assert int(found[2]) >= 5 and int(found[1]) == round(100 * cause.share)
    assert float(found[6]) < float(found[5])  # more arithmetic in less than as much more time


def test_what_bounds_it_is_told_though_no_layer_is_large(pruned) -> None:
    cause = bounds(pruned)
    assert cause is not None
    assert f"limited by arithmetic (compute-bound), at {100 * _reached(pruned):.0f}% of what" in cause.sentence


def _reached(case: Case) -> float:
    layers = [layer for layer in case.by_time if case.bound(layer) == "compute" and case.reached(layer) >= 0.2]
    return case.reached(*layers)


def test_channels_that_fill_their_vectors_are_no_cause(pruned) -> None:
    assert pruned.before is not None
    assert odd_channels(pruned.before) is None


@pytest.fixture
def halves(pruned, monkeypatch) -> Case:
    """Two kinds of layers with 30 and 10 % of the time; alone, their wider forms take as long, and 0.4 of it."""
    one = Estimate(value=1.0, low=0.8, high=1.25)
    two = Estimate(value=2.5, low=2.0, high=4.0)
    known = {13: Wider({13: 16}, 8, 1.5, one), 26: Wider({26: 32}, 16, 1.5, two)}
    monkeypatch.setattr("workbench.causes.timed.faster_wider", lambda trial, layer: known[layer.channels])
    first, second = (next(x for x in pruned.layers if x.weight[:2] == (width, width)) for width in known)
    layers = [
        *(replace(first, name=f"a{index}", milliseconds=1.0) for index in range(3)),
        replace(second, name="b", milliseconds=1.0),
        replace(pruned.layers[-1], milliseconds=1.0),
    ]
    operations = [Operation("all", "Conv", None, 10.0)]
    return Case(SimpleNamespace(study=SimpleNamespace(batch=1)), layers, operations, pruned.roof)


def test_of_several_kinds_each_counts_by_its_time(halves) -> None:
    cause = odd_channels(halves)
    assert cause is not None and cause.share == pytest.approx(0.4)
    assert cause.sentence == (
        "40% of the time is in 4 layers whose channels (13, 26) waste part of each vector: timed alone with 16, 32, "
        "they do 1.50 times the arithmetic in 0.85 [0.66 to 1.06] of the time. Round channels to a multiple of 16."
    )


def test_a_small_part_of_the_time_is_not_told(halves) -> None:
    assert odd_channels(replace(halves, operations=[Operation("all", "Conv", None, 59.0)])) is None
