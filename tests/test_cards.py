"""How things show themselves in a notebook: what they say, safely, without measuring anything."""

import re

import pytest

from workbench import Dataset, Prune, Quantize, Recipe, Study


def test_a_study_shows_its_trials_with_those_that_no_other_beats(study):
    card = study._repr_html_()
    assert "lenet5 on mnist, onnxruntime, cpu" in card
    for trial in study.trials:
        assert f">{trial.number}<" in card or f">{trial.number}&nbsp;&#9733;<" in card
    best = {int(number) for number in re.findall(r">(\d+)&nbsp;&#9733;<", card)}
    assert best == {trial.number for trial in study.pareto()}


def test_a_trial_shows_its_figures_and_a_failed_one_its_reason(study):
    done, failed = study.trial(1), study.trial(2)
    m = done.metrics
    assert f"{m.accuracy.value:.2%}" in done._repr_html_()
    assert f"{m.speedup.value:.2f}x" in done._repr_html_()
    assert "resnet20 takes 32x32 images" in failed._repr_html_()
    assert f"{m.macs:,}" in m._repr_html_()
    assert repr(m).startswith(f"Metrics(validation: accuracy {m.accuracy.value:.2%}")


def test_a_recipe_shows_its_steps_in_their_order_and_its_hash():
    recipe = Recipe([Prune(ratio=0.3), Quantize()], seed=7)
    card = recipe._repr_html_()
    assert card.index("Prune") < card.index("ratio=0.3") < card.index("Quantize")
    assert f"seed 7, {recipe.hash}" in card
    assert "The unchanged model." in Recipe()._repr_html_()


def test_names_are_shown_as_text_and_nothing_is_measured(few_digits: Dataset, lenet5, tmp_path):
    data = Dataset(
        train=(few_digits.train.inputs, few_digits.train.labels),
        validation=(few_digits.validation.inputs, few_digits.validation.labels),
        name="<img src=x onerror=alert(1)>",
    )
    study = Study(lenet5, data, path=tmp_path / "<b>")
    card = study._repr_html_()
    assert "<img" not in card and "<b>" not in card
    assert study.trials == []


@pytest.mark.parametrize("part", ["metrics", "recipe", "study", None])
def test_a_card_takes_its_colours_from_what_surrounds_it(study, part):
    trial = study.trial(1)
    card = (getattr(trial, part) if part else trial)._repr_html_()
    assert not re.search(r"(?<!-)color:(?!inherit)|background", card)
