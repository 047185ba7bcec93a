"""What is inside a trial: asked for when somebody looks, answered once, never shown for another trial."""

from concurrent.futures import Future

import pytest

from widgets.inside import Flips, Layers, Why
from workbench import WorkbenchError
from workbench.questions import Answer


def flip(label: str, index: int) -> dict:
    return {"index": index, "label": label, "before": label, "after": "1", "picture": "data:image/png;base64,AA"}


ANSWER = Answer(["Two < three."], [{"layer": "conv1", "ms": "0.1"}], {"broken": [flip("7", 3), flip("2", 4)]})


class Asked:
    """Questions as they were put, each with the future of its answer."""

    def __init__(self) -> None:
        self.put: list[tuple[int, str, int | None, Future]] = []

    def __call__(self, trial, question, against) -> "Future[Answer]":
        self.put.append((trial.number, question, against, Future()))
        return self.put[-1][3]


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture(autouse=True)
def _nothing_kept(study):
    for file in study.storage.folder(1).glob("answer-*.json"):
        file.unlink()


def test_nothing_is_asked_until_somebody_looks_and_then_once(asked, study):
    for panel in (Layers(asked), Why(asked)):
        panel.about(study.trial(1))
        assert len(asked.put) == (panel.question == "why")
        panel.look()
        panel.look()
    assert [put[:3] for put in asked.put] == [(1, "changes", None), (1, "why", None)]


def test_the_answer_is_shown_with_its_table(asked, study):
    panel = Layers(asked)
    panel.about(study.trial(1), against=0)
    panel.look()
    assert "takes up to a minute" in panel.shown.value
    assert asked.put[0][2] == 0
    asked.put[0][3].set_result(ANSWER)
    assert all(part in panel.shown.value for part in ("Two &lt; three.", "<td>conv1</td>"))


def test_flips_are_pictures_of_every_class_or_of_one(asked, study):
    panel = Flips(asked)
    panel.about(study.trial(1))
    panel.look()
    asked.put[0][3].set_result(ANSWER)
    assert all(part in panel.shown.value for part in ("Right before, wrong now (2)", "7 &rarr; 1", "is 7", "is 2"))
    panel.classes.value = "2"
    assert "is 2" in panel.shown.value
    assert "is 7" not in panel.shown.value


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (WorkbenchError("It can't be told.", "Try another."), "It can&#x27;t be told. Try another."),
        (RuntimeError("gone"), "This could not be answered: RuntimeError: gone."),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_sentence(asked, study, error, said):
    panel = Why(asked)
    panel.about(study.trial(1))
    panel.look()
    asked.put[0][3].set_exception(error)
    assert said in panel.shown.value


def test_an_answer_that_comes_late_is_not_shown_for_another_trial(asked, study):
    panel = Layers(asked)
    panel.about(study.trial(1))
    panel.look()
    panel.about(None)
    asked.put[0][3].set_result(ANSWER)
    assert "conv1" not in panel.shown.value


@pytest.mark.parametrize(("number", "against"), [(0, None), (2, None), (3, None), (1, 1)])
def test_the_baseline_failed_trials_and_a_trial_beside_itself_have_nothing_inside(asked, study, number, against):
    panel = Layers(asked)
    panel.about(study.trial(number), against)
    panel.look()
    assert "Choose a measured trial" in panel.shown.value
    assert asked.put == []
