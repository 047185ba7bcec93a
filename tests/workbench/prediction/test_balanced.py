"""A few samples that stand for all: right answers and classes are among them as they are among all."""

from pathlib import Path

import numpy as np
import pytest

from workbench import Dataset, Prune, Recipe, Study
from workbench.prediction.balanced import balanced


@pytest.fixture(scope="module")
def study(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study("lenet300", digits, path=tmp_path_factory.mktemp("balanced"))


def test_each_sample_is_one_of_the_split_and_none_comes_twice(study):
    chosen, count = balanced(study, 50), len(study.dataset.validation)
    assert len(chosen) == len(set(chosen.tolist())) == 50
    assert (np.diff(chosen) > 0).all() and chosen.min() >= 0 and chosen.max() < count


@pytest.mark.parametrize("count", [20, 50, 101])
def test_shares_are_those_of_all_samples_to_within_one_sample(count, study):
    labels = study.dataset.validation.labels
    right = study.baseline.answers() == labels
    chosen = balanced(study, count)
    assert right[chosen].mean() == pytest.approx(right.mean(), abs=1 / count)
    for label in range(10):
        assert (labels[chosen] == label).sum() == pytest.approx((labels == label).mean() * count, abs=2)


def test_where_more_are_asked_for_than_there_are_it_is_all_of_them(study):
    count = len(study.dataset.validation)
    assert balanced(study, 10 * count).tolist() == list(range(count))


def test_they_are_the_same_each_time_also_after_other_trials(study):
    before = balanced(study, 40).tolist()
    study.run(Recipe([Prune(ratio=0.5)]))
    assert balanced(study, 40).tolist() == before


def test_where_the_baselines_answers_are_lost_classes_are_balanced(digits: Dataset, tmp_path: Path):
    study = Study("lenet300", digits, path=tmp_path)
    (study.storage.folder(study.baseline.number) / "answers.npy").unlink()
    labels = digits.validation.labels[balanced(study, 50)]
    assert np.bincount(labels, minlength=10) == pytest.approx(
        np.bincount(digits.validation.labels) * 50 / len(digits.validation), abs=1
    )
