"""What is inside a trial: asked for when a fold is opened, answered once, never shown for another trial."""

from concurrent.futures import Future

import pytest

from widgets.inside import TITLES, Inside
from workbench import WorkbenchError
from workbench.questions import Answer

ANSWER = Answer(
    ["Two < three."],
    [{"layer": "conv1", "ms": "0.1"}],
    {"broken": [{"index": 3, "label": "7", "before": "7", "after": "1", "picture": "data:image/png;base64,AA"}]},
)


class Asked:
    """Questions as they were put, each with the future of its answer."""

    def __init__(self) -> None:
        self.put: list[tuple[int, str, Future]] = []

    def __call__(self, trial, question) -> "Future[Answer]":
        self.put.append((trial.number, question, Future()))
        return self.put[-1][2]


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def inside(study, asked) -> Inside:
    panel = Inside(asked)
    panel.show(study.trial(1))
    return panel


@pytest.fixture(autouse=True)
def _nothing_kept(study):
    for file in study.storage.folder(1).glob("answer-*.json"):
        file.unlink()


def test_nothing_is_asked_until_a_fold_is_opened_and_each_question_once(inside, asked):
    assert asked.put == []
    for index in (0, None, 0, 1):
        inside.selected_index = index
    assert [(number, question) for number, question, _ in asked.put] == [(1, "changes"), (1, "why")]


def test_the_answer_is_shown_with_its_table_and_its_pictures(inside, asked):
    inside.selected_index = 0
    assert "takes up to a minute" in inside.answers["changes"].value
    asked.put[0][2].set_result(ANSWER)
    shown = inside.answers["changes"].value
    for part in ("Two &lt; three.", "<td>conv1</td>", "Right before, wrong now", "7 &rarr; 1", "is 7"):
        assert part in shown


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (WorkbenchError("It can't be told.", "Try another."), "It can&#x27;t be told. Try another."),
        (RuntimeError("gone"), "This could not be answered: RuntimeError: gone."),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_sentence(inside, asked, error, said):
    inside.selected_index = 1
    asked.put[0][2].set_exception(error)
    assert said in inside.answers["why"].value


def test_an_answer_that_comes_late_is_not_shown_for_another_trial(inside, asked, study):
    inside.selected_index = 0
    inside.show(None)
    asked.put[0][2].set_result(ANSWER)
    assert inside.answers["changes"].value == ""


@pytest.mark.parametrize("number", [0, 2, 3])
def test_the_baseline_and_failed_trials_have_nothing_inside(inside, study, number):
    inside.show(study.trial(number))
    assert inside.layout.display == "none"
    inside.show(study.trial(1))
    assert inside.layout.display == ""


def test_there_is_a_title_for_each_question():
    from workbench.questions import QUESTIONS

    assert list(TITLES) == list(QUESTIONS)
