"""The card of the chosen trial: before and after in words, and its very files."""

import html
import re

import pytest

from widgets.result import ResultCard
from workbench import Recipe, Study, Trial
from workbench.estimates import Estimate
from workbench.metrics import bytes_text


def cells(card: ResultCard) -> dict[str, list[str]]:
    """What each tile holds below its name."""
    tiles = re.findall(r"<div><dt>(.*?)</dt>(.*?)</div>", card.value)
    return {name: re.findall(r"<dd[^>]*>(.*?)</dd>", rest) for name, rest in tiles}


def changed(study: Study, number: int, **metrics: object) -> Trial:
    """A trial of the study as it would be if it had been measured otherwise."""
    record = study.storage.record(number)
    return Trial(study, record.model_copy(update={"metrics": record.metrics.model_copy(update=metrics)}))


def test_at_first_it_says_what_to_do():
    assert "press Run" in ResultCard().value


def test_it_sets_before_beside_after(study):
    trial, baseline = study.trial(1), study.baseline.metrics
    tiles, after = cells(ResultCard(trial)), trial.metrics
    assert list(tiles) == ["Accuracy", "File size", "Latency", "MACs", "Parameters"]
    assert tiles["Accuracy"][:2] == [f"{after.accuracy.value:.2%}", f"was {baseline.accuracy.value:.2%}"]
    assert tiles["Parameters"][:2] == [f"{after.parameters:,}", f"was {baseline.parameters:,}"]
    assert tiles["File size"][2] == f"{baseline.size_bytes / after.size_bytes:.1f}x smaller"
    assert tiles["Latency"][:2] == [f"{after.latency.value:.3g} ms", f"was {after.baseline_latency.value:.3g} ms"]
    assert f"[{after.speedup.low:.2f}, {after.speedup.high:.2f}]" in tiles["Latency"][2]


def test_it_says_all_that_the_trial_says_and_how_it_learned(study):
    shown = html.unescape(ResultCard(study.trial(1)).value)
    assert all(sentence in shown for sentence in study.trial(1).sentences())
    assert "wb-loss" in shown


def test_against_another_trial_it_says_that_they_were_not_timed_together(study):
    card = ResultCard()
    card.show(study.baseline, against=study.trial(1))
    tiles, speedup = cells(card), study.trial(1).metrics.speedup
    assert tiles["Speed"][:2] == [f"{1 / speedup.value:.2f}x", f"[{1 / speedup.high:.2f}, {1 / speedup.low:.2f}]"]
    assert tiles["File size"][1] == f"was {bytes_text(study.trial(1).metrics.size_bytes)}"
    assert "not against each other" in card.value


def test_several_trials_stand_in_rows_those_that_were_measured(study):
    card = ResultCard()
    card.side_by_side(study.trials)
    assert card.value.count("<tr>") == 1 + 2
    assert f"{study.trial(1).metrics.parameters:,}" in card.value


@pytest.mark.parametrize(
    ("measured", "row", "verdict", "kind"),
    [
        ({"speedup": Estimate(value=2, low=1.5, high=3)}, "Latency", "faster", "wb-good"),
        ({"speedup": Estimate(value=1, low=0.9, high=1.1)}, "Latency", "no measurable change", ""),
        ({"speedup": Estimate(value=0.5, low=0.4, high=0.6)}, "Latency", "slower", "wb-bad"),
        ({"fixed": 90, "broken": 1, "gain": 0.1, "score_p": 1e-9}, "Accuracy", "better", "wb-good"),
        ({"fixed": 3, "broken": 4, "score_p": 1.0}, "Accuracy", "no evidence of a change", "wb-good"),
        ({"fixed": 1, "broken": 90, "score_p": 1e-9}, "Accuracy", "worse", "wb-bad"),
    ],
)
def test_its_verdicts_are_words_and_not_only_colours(study, measured, row, verdict, kind):
    card = ResultCard(changed(study, 1, **measured))
    assert cells(card)[row][3] == verdict
    assert f"<dd class='{kind}'>{verdict}</dd>" in card.value


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
    assert html.escape(study.trial(number).reason) in card.value
    assert cells(card) == {}


def test_what_others_named_cannot_break_the_page(study):
    mark = "<b onclick='x'>&"
    record = study.storage.record(2).model_copy(update={"reason": f"There is no model called '{mark}'."})
    record.recipe = Recipe.from_dict({"steps": [{"distill": {"teacher": mark}}]}).to_dict()
    card = ResultCard(Trial(study, record))
    assert mark not in card.value
    assert html.escape(mark) in card.value
