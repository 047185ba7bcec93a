"""What recipes share as far as a training is trained once, and nothing that they come to differs for it."""

import copy
import shutil
from pathlib import Path

import pytest

from workbench import Dataset, Distill, Finetune, Prune, Quantize, Recipe, Study
from workbench.prefixes import Start, begun, done, forget, keep
from workbench.steps import Half, Pack, Slim
from workbench.steps.base import Context, Step, Work

TRAINED = [Prune(ratio=0.5), Distill(epochs=1)]
FOUR = [Quantize(weight_bits=4, activation_bits=8, simulate=True), Finetune(epochs=1)]
RECIPES = {
    "another training, int8": (TRAINED, [Finetune(epochs=1), Quantize()]),
    "from 4 bits, packed": (FOUR, [Pack()]),
    "from slimmed channels, int8": ([Slim(epochs=1)], [Finetune(epochs=1), Quantize()]),
}


@pytest.fixture(scope="module")
def measured(few_digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that has its baseline."""
    study = Study("lenet300", few_digits, path=tmp_path_factory.mktemp("studies") / "lenet300")
    study.measured_baseline()
    return study.path


def _copied(measured: Path, few_digits: Dataset, path: Path) -> Study:
    shutil.copytree(measured, path)
    return Study("lenet300", few_digits, path=path)


@pytest.fixture
def study(measured: Path, few_digits: Dataset, tmp_path: Path) -> Study:
    forget()
    return _copied(measured, few_digits, tmp_path / "study")


@pytest.fixture
def other(measured: Path, few_digits: Dataset, tmp_path: Path) -> Study:
    """The same in another folder."""
    return _copied(measured, few_digits, tmp_path / "other")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """Every distillation that is really carried out."""
    found: list[Step] = []
    apply = Distill.apply

    def counted(self: Distill, work: Work, context: Context) -> None:
        found.append(self)
        apply(self, work, context)

    monkeypatch.setattr(Distill, "apply", counted)
    return found


@pytest.mark.parametrize(("beginning", "ending"), RECIPES.values(), ids=RECIPES)
def test_the_weights_the_file_and_the_curve_are_those_of_doing_all_of_it(
    study: Study, other: Study, beginning: list[Step], ending: list[Step]
) -> None:
    recipe = Recipe([*beginning, *ending], seed=3)
    study.run(Recipe([*beginning, Finetune(epochs=1, learning_rate=1e-4)], seed=3))
    assert done(study, recipe) == len(beginning)
    short = study.run(recipe)
    forget()
    whole = other.run(recipe)
    assert short.artifact is not None and whole.artifact is not None
    assert short.weight_hash == whole.weight_hash and short.artifact.read_bytes() == whole.artifact.read_bytes()
    assert short.notes == whole.notes
    curves = [[facts["accuracy"] for facts in trial.progress if "accuracy" in facts] for trial in (short, whole)]
    assert curves[0] == curves[1] != []
    reached = [trial.progress[-1]["reached"] for trial in (short, whole)]
    assert reached[0] == reached[1] is not None


def test_what_is_shared_is_not_trained_again_but_its_seconds_count_and_its_progress_is_told(
    study: Study, trained: list[Step]
) -> None:
    first = Recipe([*TRAINED, Quantize()])
    told: list[dict] = []
    study.run(first)
    trial = study.run(Recipe(TRAINED), told.append)
    assert len(trained) == 1
    assert (trial.seconds or 0.0) > begun(study, first).seconds > 0
    assert [facts["accuracy"] for facts in told if "accuracy" in facts] and told[-1]["reached"] is not None


def test_a_recipe_that_was_complete_is_done_anew_from_its_first_step(study: Study, trained: list[Step]) -> None:
    for _ in range(2):
        study.run(Recipe([*TRAINED, Quantize()]))
    assert len(trained) == 2


def _kept(study: Study, recipe: Recipe) -> None:
    keep(study, recipe, Start(Work(copy.deepcopy(study.module)), len(recipe)))


def test_another_seed_other_knobs_and_another_study_share_nothing(study: Study, other: Study) -> None:
    _kept(study, Recipe(TRAINED))
    assert done(study, Recipe([*TRAINED, Quantize()])) == 2
    assert done(study, Recipe(TRAINED, seed=1)) == 0
    assert done(study, Recipe([Prune(ratio=0.6), *TRAINED[1:]])) == 0
    assert done(other, Recipe(TRAINED)) == 0


def test_only_what_trains_is_kept(study: Study) -> None:
    _kept(study, Recipe([Prune(ratio=0.5)]))
    assert done(study, Recipe([Prune(ratio=0.5), Half()])) == 0


def test_what_was_not_used_for_longest_is_forgotten(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (Recipe([Prune(ratio=ratio), *TRAINED[1:]]) for ratio in (0.1, 0.2, 0.3))
    monkeypatch.setattr("workbench.prefixes.MOST", 2 * Start(Work(study.module)).bytes)
    for recipe in (first, second):
        _kept(study, recipe)
    begun(study, first)
    _kept(study, third)
    assert [done(study, recipe) for recipe in (first, second, third)] == [2, 0, 2]


def test_a_copy_is_given_so_that_no_trial_changes_what_others_begin_with(study: Study) -> None:
    _kept(study, Recipe(TRAINED))
    for parameter in begun(study, Recipe(TRAINED)).work.module.parameters():
        parameter.data.zero_()
    assert any(parameter.any() for parameter in begun(study, Recipe(TRAINED)).work.module.parameters())
