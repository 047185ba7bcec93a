"""Every knob leads to a lesson, and the lesson has that heading."""

import re
from pathlib import Path

import nbformat
import pytest

from widgets.controls import StepPanel
from widgets.lessons import WHERE, lesson
from workbench.knobs import knobs
from workbench.serve import install_template
from workbench.steps import STEPS

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize("key", WHERE)
def test_what_is_named_is_a_step_or_one_of_its_knobs_and_the_heading_exists(key):
    step, _, knob = key.partition(".")
    assert not knob or knob in {k.name for k in knobs(STEPS[step])}
    file, heading = WHERE[key]
    cells = nbformat.read(NOTEBOOKS / f"{file}.ipynb", as_version=4).cells
    headings = [line for cell in cells for line in re.findall(r"^## (.+)$", cell.source, re.M)]
    assert heading in [words.replace(" ", "-") for words in headings]


@pytest.mark.parametrize("step", STEPS)
def test_every_knob_has_one_and_its_control_says_which(step):
    panel = StepPanel(STEPS[step])
    for knob in knobs(STEPS[step]):
        file, heading = lesson(step, knob.name)
        control = panel.controls[knob.name]
        assert f"wb-why-{file}--{heading}" in getattr(control, "field", control)._dom_classes


def test_the_lessons_are_pages_of_the_app_that_ask_nothing_of_an_outside_host(tmp_path):
    static = install_template(tmp_path) / "voila/templates/workbench/static"
    for file, heading in set(WHERE.values()):
        page = (static / "lessons" / f"{file}.html").read_text(encoding="utf-8")
        assert f'id="{heading}"' in page
        assert not re.search(r"(src|href)=[\"']https?:", page)
