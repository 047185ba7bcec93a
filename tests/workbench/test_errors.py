"""Refusals: a sentence that says what is wrong, and one that says what to do."""

import pickle

import pytest

from workbench import Cancelled, WorkbenchError
from workbench.errors import lookup, nearest


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("lenet", "Did you mean 'lenet5'?"),
        ("resnet", "Did you mean 'resnet20'?"),
        ("vgg", "Choose one of: lenet5, resnet20."),
        (20, "Choose one of: lenet5, resnet20."),
    ],
)
def test_a_mistyped_word_is_answered_with_the_nearest_known_one(word, hint):
    assert nearest(word, ["lenet5", "resnet20"]) == hint


def test_an_unknown_name_is_refused_with_its_kind():
    with pytest.raises(WorkbenchError, match=r"^There is no model called 'lenet6'. Did you mean 'lenet5'\?$"):
        lookup({"lenet5": 1}, "lenet6", "model")


def test_a_known_name_is_found():
    assert lookup({"lenet5": 1}, "lenet5", "model") == 1


@pytest.mark.parametrize("error", [WorkbenchError("No.", "Try yes."), Cancelled()])
def test_a_refusal_travels_between_processes(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.hint) == (type(error), str(error), error.hint)
