"""The report: one page that holds all, asks nothing of anybody, and says what to doubt."""

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from workbench import Study, WorkbenchError
from workbench.compare import FLIPS
from workbench.estimates import Estimate
from workbench.metrics import speed_verdict
from workbench.plots import HEIGHT, WIDTH, Plot, Point, round_ticks


@pytest.fixture(scope="module")
def page(study, tmp_path_factory) -> str:
    return study.report(tmp_path_factory.mktemp("report") / "deep" / "report.html").read_text(encoding="utf-8")


def test_it_asks_nothing_of_the_network(page) -> None:
    assert not re.search(r"""(?:src|href|url|import|fetch)\s*[=(]\s*["']?(?:https?:)?//""", page)
    assert "<link" not in page
    assert set(re.findall(r'src="(.{10})', page)) == {"data:image"}


def test_every_element_is_closed(page) -> None:
    open_elements: list[str] = []

    class Check(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list) -> None:
            if tag not in ("meta", "line", "path", "polyline", "img"):
                open_elements.append(tag)

        def handle_startendtag(self, tag: str, attrs: list) -> None: ...

        def handle_endtag(self, tag: str) -> None:
            assert open_elements.pop() == tag

    Check().feed(page)
    assert open_elements == []
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(drawing)


def test_it_holds_every_trial_with_recipe_figures_and_reason(page, study) -> None:
    for trial in study.trials:
        assert f'id="trial-{trial.number}"' in page
        assert (trial.weight_hash or "") in page
    assert "ratio: 0.5" in page  # the recipe as a file
    assert f"{study.trial(1).metrics.accuracy.value:.2%}" in page
    assert "failed: " in page and "cancelled: " in page


def test_it_tells_machine_versions_and_how_it_was_measured(page, study) -> None:
    for text in ("usable", "torch-pruning", "onnxruntime", "Wilson", "McNemar", "The test split was opened"):
        assert text in page


def test_where_it_was_measured_is_told_apart_from_where_it_was_written(page, study) -> None:
    measured, written = page[page.index("<h2>Measured on") :].split("<h2>Written on")
    conditions = study.trial(1).metrics.conditions
    assert f"<dd>{conditions.processor}, ONNX Runtime {conditions.version}</dd>" in measured
    assert "torch-pruning" in written and "torch-pruning" not in measured


def test_of_a_study_from_elsewhere_it_tells_that_machine(study, tmp_path, monkeypatch) -> None:
    elsewhere = {"processor": "Other <processor>", "version": "0.1"}
    for record in study.storage.records():
        if record.metrics and record.metrics.conditions:
            told = record.metrics.conditions.model_copy(update=elsewhere)
            monkeypatch.setattr(record, "metrics", record.metrics.model_copy(update={"conditions": told}))
    monkeypatch.setattr(study, "_seen", {})
    page = study.report(tmp_path / "x.html", closely=[]).read_text(encoding="utf-8")
    measured, written = page[page.index("<h2>Measured on") :].split("<h2>Written on")
    assert "<dd>Other &lt;processor&gt;, ONNX Runtime 0.1</dd>" in measured
    assert "Other" not in written and study.runtime.version() in written


def test_the_rule_by_which_a_change_in_speed_is_called_one_is_told(page) -> None:
    assert speed_verdict(Estimate(value=1.02, low=1.005, high=1.04)) == "no measurable change"
    assert "more than 1% above 1, or below, there is no measurable change" in page


def test_measured_trials_are_points_and_the_others_are_not(page) -> None:
    marks = re.findall(r'class="mark" tabindex="0" data-trial="(\d+)"', page)
    assert set(marks) == {"0", "1"}
    assert len(marks) == 4  # in both plots


def test_a_trial_is_set_against_the_baseline_with_pictures_classes_layers_and_causes(page, study) -> None:
    closeup = page[page.index("Against the baseline") : page.index("<h2>Doubts")]
    assert closeup.count("<section") == 1  # trial 1 is all that was measured
    broken = study.trial(1).metrics.broken
    assert f"Right before, wrong now: {broken}" in closeup
    assert closeup.count("<img") == sum(min(12, len(getattr(study.compare(0, 1), kind))) for kind in FLIPS)
    for text in ("recognized", "SQNR dB", "conv1", "Why isn't it faster?"):
        assert text in closeup
    assert "This machine at best" in closeup


def test_which_trials_are_looked_at_closely_can_be_chosen(study, tmp_path) -> None:
    page = study.report(tmp_path / "x.html", closely=[]).read_text(encoding="utf-8")
    assert "Against the baseline" not in page
    with pytest.raises(WorkbenchError, match="99"):
        study.report(tmp_path / "x.html", closely=[99])


def test_names_can_not_break_out_of_the_page(study, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(study.settings, "model", "<script>alert(1)</script>")
    assert "<script>alert" not in study.report(tmp_path / "x.html").read_text(encoding="utf-8")


def test_a_study_without_a_measurement_has_no_report(few_digits, tmp_path) -> None:
    with pytest.raises(WorkbenchError, match="no measured trial"):
        Study("lenet5", few_digits, path=tmp_path).report(tmp_path / "x.html")


def test_a_place_that_can_not_be_written_is_refused(study, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkbenchError, match="can't be written"):
        study.report(tmp_path / "file" / "x.html")


def point(number: int, x: float, y: float) -> Point:
    return Point(number, f"Kind {number}", x, (x * 0.9, x * 1.1), y, y - 0.01, y + 0.01, ("fact",))


@pytest.mark.parametrize("log", [False, True])
def test_points_and_their_intervals_lie_within_the_drawing(log) -> None:
    plot = Plot("t", "x", [point(0, 10, 0.5), point(1, 1e5, 0.97)], {0, 1}, log=log)
    for p in plot.points:
        assert all(0 < plot.x(x) < WIDTH for x in (p.x, *p.spread))
        assert all(0 < plot.y(y) < HEIGHT for y in (p.y, p.low, p.high))
    assert plot.x(10) < plot.x(1e5) and plot.y(0.97) < plot.y(0.5)
    assert len(plot.x_ticks) > 1 and len(plot.y_ticks) > 1


def test_a_single_point_has_a_scale_too() -> None:
    plot = Plot("t", "x", [Point(0, "Baseline", 5.0, None, 1.0, 1.0, 1.0, ())], {0})
    assert 0 < plot.x(5.0) < WIDTH and 0 < plot.y(1.0) < HEIGHT
    assert plot.x_ticks and plot.y_ticks


def test_the_front_is_a_staircase() -> None:
    plot = Plot("t", "x", [point(0, 1, 0.5), point(1, 2, 0.9), point(2, 3, 0.4)], {0, 1})
    corners = [tuple(map(float, corner.split(","))) for corner in plot.line.split()]
    assert corners == [
        (plot.x(1), plot.y(0.5)),
        (plot.x(2), plot.y(0.5)),
        (plot.x(2), plot.y(0.9)),
    ]


def test_ticks_are_round() -> None:
    assert round_ticks(0.0, 1.0, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert round_ticks(0.93, 0.99, 6) == [0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99]
