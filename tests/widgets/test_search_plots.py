"""How a search goes, as drawings: only what was told of, and nothing where nothing was."""

import re

import pytest

from widgets.search_plots import KNOBS, covered, deciding


def test_nothing_is_drawn_before_there_is_anything_to_draw() -> None:
    assert covered([]) == covered([(0.0, 0.0)]) == ""
    assert deciding({}) == deciding({"accuracy": {}}) == ""


def test_the_hypervolume_goes_up_in_stairs() -> None:
    drawn = covered([(0.0, 0.0), (10.0, 0.2), (40.0, 0.5)])
    (points,) = re.findall("<polyline points='([^']*)'", drawn)
    places = [tuple(map(float, pair.split(","))) for pair in points.split()]
    assert len(places) == 5 and drawn.count("<circle") == 3
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)  # upwards on the screen
    assert places[0][1] == places[1][1] and places[1][0] == places[2][0]
    assert "covers 50.0% of what is ideal" in drawn and "after 2 trials" in drawn and "40 seconds" in drawn


def test_bars_are_as_long_as_their_share_the_longest_first() -> None:
    shares = {f"knob {place}": share for place, share in enumerate((0.05, 0.4, 0.2, 0.1, 0.1, 0.1, 0.05))}
    drawn = deciding({"latency": {}, "size_bytes": shares})
    widths = [float(width) for width in re.findall("width:([0-9.]*)%", drawn)]
    assert len(widths) == KNOBS and widths == sorted(widths, reverse=True)
    assert widths[:2] == pytest.approx([40, 20])
    assert "What decides the file size" in drawn and drawn.index("knob 1") < drawn.index("knob 2")


def test_knobs_that_decide_nothing_have_no_row() -> None:
    drawn = deciding({"accuracy": {"prune.ratio": 0.996, "prune.scope": 0.004}})
    assert drawn.count("<li>") == 1
    assert deciding({"accuracy": {"prune.ratio": 0.0}}) == ""


def test_names_are_text_not_markup() -> None:
    drawn = deciding({"<b>": {"<script>": 1.0}})
    assert "<script>" not in drawn and "&lt;script&gt;" in drawn
