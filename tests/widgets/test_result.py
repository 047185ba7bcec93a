"""The card of the chosen trial: before and after in words, and its very files."""

import base64
import html
import re
from urllib.parse import unquote_to_bytes

import pytest

from widgets.result import ResultCard
from workbench import Recipe, Study, Trial
from workbench.estimates import Estimate


def files(card: ResultCard) -> dict[str, bytes]:
    """What the browser would write when each link is followed, by file name."""
    links = re.findall(r"download='([^']*)' href='data:[^,']*;base64,([^']*)'", card.files.value)
    return {html.unescape(name): base64.b64decode(unquote_to_bytes(data)) for name, data in links}


def cells(card: ResultCard) -> dict[str, list[str]]:
    """The rows of the table."""
    rows = re.findall(r"<tr><th scope='row'>(.*?)</th>(.*?)</tr>", card.text.value)
    return {name: re.findall(r"<td class='[^']*'>(.*?)</td>", rest) for name, rest in rows}


def changed(study: Study, number: int, **metrics: object) -> Trial:
    """A trial of the study as it would be if it had been measured otherwise."""
    record = study.storage.record(number)
    return Trial(study, record.model_copy(update={"metrics": record.metrics.model_copy(update=metrics)}))


def test_at_first_it_says_what_to_do():
    assert "run a recipe" in ResultCard().text.value
    assert files(ResultCard()) == {}


def test_it_sets_before_beside_after(study):
    trial, baseline = study.trial(1), study.baseline.metrics
    rows, after = cells(ResultCard(trial)), trial.metrics
    assert list(rows) == ["Accuracy", "File size", "Latency", "MACs", "Parameters"]
    assert rows["Accuracy"][:2] == [f"{baseline.accuracy.value:.2%}", f"{after.accuracy.value:.2%}"]
    assert rows["Parameters"][:2] == [f"{baseline.parameters:,}", f"{after.parameters:,}"]
    assert rows["File size"][2] == f"{baseline.size_bytes / after.size_bytes:.1f}x smaller"
    assert rows["Latency"][:2] == [f"{after.baseline_latency.value:.3g} ms", f"{after.latency.value:.3g} ms"]
    assert f"[{after.speedup.low:.2f}, {after.speedup.high:.2f}]" in rows["Latency"][2]


def test_it_says_all_that_the_trial_says(study):
    text = html.unescape(ResultCard(study.trial(1)).text.value)
    assert all(sentence in text for sentence in study.trial(1).sentences())
    assert "Trial 1: Prune 50%, Finetune 1 epoch, Quantize 8 bits" in text


@pytest.mark.parametrize(
    ("measured", "row", "verdict", "kind"),
    [
        ({"speedup": Estimate(value=2, low=1.5, high=3)}, "Latency", "faster", "wb-good"),
        ({"speedup": Estimate(value=1, low=0.9, high=1.1)}, "Latency", "no measurable change", ""),
        ({"speedup": Estimate(value=0.5, low=0.4, high=0.6)}, "Latency", "slower", "wb-bad"),
        ({"fixed": 90, "broken": 1, "accuracy_p": 1e-9}, "Accuracy", "better", "wb-good"),
        ({"fixed": 3, "broken": 4, "accuracy_p": 1.0}, "Accuracy", "no evidence of a change", "wb-good"),
        ({"fixed": 1, "broken": 90, "accuracy_p": 1e-9}, "Accuracy", "worse", "wb-bad"),
    ],
)
def test_its_verdicts_are_words_and_not_only_colours(study, measured, row, verdict, kind):
    card = ResultCard(changed(study, 1, **measured))
    assert cells(card)[row][3] == verdict
    assert f"<td class='{kind}'>{verdict}</td>" in card.text.value


@pytest.mark.parametrize(("factor", "words"), [(0.25, "4.0x smaller"), (1, "the same"), (2, "2.00x larger")])
def test_a_change_of_size_is_said_as_a_factor(study, factor, words):
    trial = changed(study, 1, size_bytes=int(study.baseline.metrics.size_bytes * factor))
    assert cells(ResultCard(trial))["File size"][2] == words


def test_the_baseline_is_not_compared_with_itself(study):
    rows = cells(ResultCard(study.baseline))
    assert all(len(row) == 1 for row in rows.values())
    assert rows["Accuracy"] == [f"{study.baseline.metrics.accuracy.value:.2%}"]


@pytest.mark.parametrize(("number", "reason"), [(2, "resnet20 takes 32x32 images"), (3, "Cancelled by the user.")])
def test_a_trial_without_measurements_shows_its_reason(study, number, reason):
    card = ResultCard(study.trial(number))
    assert reason in study.trial(number).reason
    assert html.escape(study.trial(number).reason) in card.text.value
    assert (cells(card), files(card)) == ({}, {})


def test_its_links_hold_the_very_bytes_of_the_artifact_the_recipe_and_the_code(study):
    trial = study.trial(1)
    got = files(ResultCard(trial))
    assert list(got) == ["lenet5-mnist-1.onnx", "lenet5-mnist-1.yaml", "lenet5-mnist-1.py"]
    assert got["lenet5-mnist-1.onnx"] == trial.artifact.read_bytes()
    assert Recipe.from_yaml(got["lenet5-mnist-1.yaml"].decode()) == trial.recipe
    assert got["lenet5-mnist-1.py"].decode() == trial.snippet()


def test_what_others_named_cannot_break_the_page(study):
    mark = "<b onclick='x'>&"
    record = study.storage.record(2).model_copy(update={"reason": f"There is no model called '{mark}'."})
    record.recipe = Recipe.from_dict({"steps": [{"distill": {"teacher": mark}}]}).to_dict()
    card = ResultCard(Trial(study, record))
    assert mark not in card.text.value
    assert card.text.value.count(html.escape(mark)) == 2
