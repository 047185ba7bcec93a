"""Scores that took a while are kept, and whatever is wrong with a file, they are found again."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from workbench import Dataset, Prune, Study
from workbench.prediction.scored import KeptScores

SHAPES = {"conv": (3,), "fc": (2, 2)}
SCORES = {"conv": torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), "fc": torch.eye(2)}


@pytest.fixture(autouse=True)
def _everything_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.prediction.scored.SLOW", -1.0)


def _never() -> dict[str, Tensor]:
    pytest.fail("found again")


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_what_was_found_once_is_read(tmp_path: Path):
    assert _same(KeptScores(tmp_path / "scores").of("channel-hessian", SHAPES, lambda: SCORES), SCORES)
    assert _same(KeptScores(tmp_path / "scores").of("channel-hessian", SHAPES, _never), SCORES)


def test_each_name_has_its_own(tmp_path: Path):
    kept, other = KeptScores(tmp_path), {"conv": torch.zeros(3)}
    kept.of("channel-hessian", SHAPES, lambda: SCORES)
    assert _same(kept.of("channel-taylor", SHAPES, lambda: other), other)


def test_what_has_no_score_may_be_left_out(tmp_path: Path):
    few = {"conv": SCORES["conv"]}
    KeptScores(tmp_path).of("channel-bn", SHAPES, lambda: few)
    assert _same(KeptScores(tmp_path).of("channel-bn", SHAPES, _never), few)


def test_without_a_folder_nothing_is_kept(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert KeptScores().of("channel-hessian", SHAPES, lambda: SCORES) is SCORES
    assert not list(tmp_path.iterdir())


def test_what_is_quick_is_found_anew(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("workbench.prediction.scored.SLOW", 1e6)
    KeptScores(tmp_path).of("channel-l2", SHAPES, lambda: SCORES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shapes", [{"conv": (4,), "fc": (2, 2)}, {"conv": (3,)}])
def test_scores_of_another_shape_are_found_anew(shapes, tmp_path: Path):
    KeptScores(tmp_path).of("channel-hessian", SHAPES, lambda: SCORES)
    now = {"conv": torch.zeros(shapes["conv"])}
    assert _same(KeptScores(tmp_path).of("channel-hessian", shapes, lambda: now), now)
    assert _same(KeptScores(tmp_path).of("channel-hessian", shapes, _never), now)


def test_a_damaged_file_is_written_anew(tmp_path: Path):
    KeptScores(tmp_path).of("channel-hessian", SHAPES, lambda: SCORES)
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:20])
    assert _same(KeptScores(tmp_path).of("channel-hessian", SHAPES, lambda: SCORES), SCORES)
    assert _same(KeptScores(tmp_path).of("channel-hessian", SHAPES, _never), SCORES)


def test_where_nothing_can_be_written_they_are_still_told(tmp_path: Path):
    (tmp_path / "scores").write_text("a file where the folder would be")
    assert _same(KeptScores(tmp_path / "scores").of("channel-hessian", SHAPES, lambda: SCORES), SCORES)


@pytest.mark.parametrize("granularity", ["channel", "weight"])
def test_a_study_that_is_opened_again_foresees_the_same_without_gradients(granularity, digits: Dataset, tmp_path: Path):
    step = Prune(ratio=0.5, granularity=granularity, importance="hessian")

    def foreseen() -> tuple:
        study = Study("lenet5", digits, path=tmp_path)
        if granularity == "channel":
            return tuple(score.tolist() for score in study.outline.structure("channel", "hessian").scores)
        return tuple(kept.tolist() for kept in study.outline.zeros.kept(step, 0).values())

    first = foreseen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.autograd.grad", lambda *args, **kwargs: pytest.fail("gradients were taken"))
        assert foreseen() == first


def test_the_folder_of_a_study_that_is_gone_is_not_made_anew(tmp_path: Path):
    assert _same(KeptScores(tmp_path / "gone" / "scores").of("channel-hessian", SHAPES, lambda: SCORES), SCORES)
    assert not (tmp_path / "gone").exists()
