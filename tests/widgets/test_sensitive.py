"""The heat map of the study: asked for when somebody looks, of the baseline too."""

from concurrent.futures import Future

from widgets.sensitive import Sensitive, heat
from workbench.questions import Answer, answer

ROWS = [{"layer": "conv1", "-50%": "99.0%", "2 bits": "49.0%"}, {"layer": "fc<2>", "-50%": "", "2 bits": "98.0%"}]


def test_a_cell_is_the_darker_the_more_is_lost() -> None:
    shown = heat(ROWS)
    assert "rgba(213, 94, 0, 0.00)'>99.0%" in shown
    assert "rgba(213, 94, 0, 0.75)'>49.0%" in shown
    assert "rgba(213, 94, 0, 0.02)'>98.0%" in shown
    assert "<td></td>" in shown and "fc&lt;2&gt;" in shown
    assert heat([]) == ""


def test_it_is_asked_of_the_baseline_too(study) -> None:
    asked: list[tuple] = []

    def ask(trial, question, against) -> "Future[Answer]":
        asked.append((trial.number, question, against))
        return Future()

    panel = Sensitive(ask)
    panel.about(study.trial(0))
    panel.look()
    assert asked == [(0, "sensitivity", None)]


def test_the_answer_has_each_layer_and_says_which_suffers_most(study) -> None:
    found = answer(study, 0, "sensitivity")
    assert {row["layer"] for row in found.table} == {"conv1", "conv2", "fc1", "fc2"}
    assert set(found.table[0]) == {"layer", *(f"-{tenth}0%" for tenth in range(1, 10))} | {
        f"{bits} bits" for bits in (8, 6, 4, 3, 2, 1)
    }
    assert "costs most" in found.sentences[1]
