"""Class by class: folded tables of what is recognized and what is taken for what, at once, in either language."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from widgets.classes import Classes
from widgets.inside import Flips
from widgets.texts import speak


@pytest.fixture
def shown(study) -> str:
    panel = Classes()
    panel.show(study.trial(1), study.baseline)
    return panel.value


def test_each_class_is_in_the_table_the_first_five_without_another_click(shown, study):
    page = ElementTree.fromstring(f"<div>{shown}</div>")
    recall, confusion = page.findall("details")
    rows = [[cell.text for cell in row] for row in recall.iter("tr") if row.find("td") is not None]
    assert rows == [list(row.values()) for row in study.compare(0, 1).class_table()]
    assert len(recall.find("div").findall(".//tbody/tr")) == 5
    assert f"“{rows[0][0]}” changed most, {rows[0][2]} → {rows[0][3]}" in recall.find("summary").text
    assert len(confusion.findall(".//tbody/tr")) == 10


def test_the_counts_of_a_row_are_the_samples_of_its_class(shown, study):
    page = ElementTree.fromstring(f"<div>{shown}</div>")
    matrix = study.trial(1).metrics.quality.confusion_matrix()
    for row, counts in zip(page.findall("details")[1].findall(".//tbody/tr"), matrix, strict=True):
        assert [int(cell.text.replace("·", "0")) for cell in row.findall("td")] == counts.tolist()


def test_the_keyboard_reaches_both_and_each_figure_has_its_headings(shown):
    assert shown.count("<summary>") == 3
    regions = re.findall(r"role='region' tabindex='0' aria-label='([^']+)'", shown)
    assert regions == ["Recall by class", "Recall by class", "Confusion: which class is taken for which"]
    assert shown.count("scope='row'") == 20
    assert "<caption>" in shown


def test_the_page_of_flips_has_them_before_anything_was_asked(study):
    def never(*given):
        raise AssertionError("asked")

    panel = Flips(never)
    panel.about(study.trial(1))
    assert "Recall by class" in panel.by_class.value
    for trial in (study.baseline, study.trial(2), None):
        panel.about(trial)
        assert panel.by_class.value == ""


def test_it_speaks_chinese(study):
    speak("zh")
    try:
        panel = Classes()
        panel.show(study.trial(1), study.baseline)
    finally:
        speak("en")
    assert not re.search(r">[^<]*[a-z]{3,}[^<]*<", panel.value)
