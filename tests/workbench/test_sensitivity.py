"""What a sensitivity is solved for: bits within their average, ratios down to a share of the MACs."""

from dataclasses import replace

import pytest

from workbench import Prune, Recipe, Study, WorkbenchError


def test_a_layer_that_was_only_begun_is_solved_as_far_as_it_was_measured(scanned: Study) -> None:
    whole = scanned.sensitivity()
    layers, values, *_ = whole.grid("ratio")
    begun = layers[0]
    points = tuple(p for p in whole.points if p.layer != begun or (p.kind, p.value) == ("ratio", values[1]))
    partly = replace(whole, points=points)
    for solver in ("greedy", "evolution"):
        ratios = partly.ratios(0.5, solver)
        assert ratios[begun] in (0.0, values[1]) and set(ratios) == set(layers)
    assert begun not in partly.bits(5.0)


def test_nothing_is_known_of_bits_where_none_were_tried(scanned: Study) -> None:
    whole = scanned.sensitivity()
    without = replace(whole, points=tuple(point for point in whole.points if point.kind == "ratio"))
    assert whole.knows({"fc1": 2}) and not without.knows({"fc1": 8}) and without.knows({})


def test_bits_are_solved_within_their_average(scanned: Study) -> None:
    found = scanned.sensitivity()
    for average in (3.0, 5.0):
        bits = found.bits(average)
        sizes = {layer.name: layer.weights for layer in scanned.outline.size({}).layers}
        assert sum(sizes[n] * b for n, b in bits.items()) <= average * sum(sizes.values())
    with pytest.raises(WorkbenchError, match="No choice of bits"):
        found.bits(0.5)


def test_ratios_are_solved_down_to_the_share_of_macs(scanned: Study) -> None:
    ratios = scanned.sensitivity().ratios(0.4)
    pruned = scanned.predict(Recipe([Prune(ratio=0.0, layers=ratios)]))
    assert pruned.macs <= 0.42 * scanned.predict(Recipe()).macs
    assert len(set(ratios.values())) > 1
