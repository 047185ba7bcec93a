"""Anchor points tell what channels are worth from a few samples: the same as if the channels were really removed."""

import copy
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench import Dataset, Prune, Quantize, Recipe, Study
from workbench.prediction.anchors import ANCHORS, Anchors, anchors_of
from workbench.prediction.choosing import choose_anchors
from workbench.prediction.points import Estimator
from workbench.prediction.prospect import follow
from workbench.pruning.plan import replay
from workbench.sensitivity_scan import logits

RECIPES = [Recipe([Prune(ratio=ratio, importance=name)]) for ratio in (0.1, 0.3, 0.5, 0.7) for name in ("l1", "l2")]


@pytest.fixture(scope="module", autouse=True)
def floats() -> Iterator[None]:
    """Floats of 32 bits, whatever is faster here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workbench.prediction.lean.QUICK", 1e6)
        yield


@pytest.fixture(scope="module")
def study(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study("lenet5", digits, path=tmp_path_factory.mktemp("anchors"))


@pytest.fixture(scope="module")
def anchors(study: Study) -> Anchors:
    observed = np.random.default_rng(0).integers(0, 1000, (len(RECIPES), 200)).tolist()
    choose_anchors(study, observed, range(0, 400, 2), RECIPES)
    found = anchors_of(study)
    assert found is not None
    return found


def _prospect(study: Study, *steps):
    return follow(Recipe(list(steps)), study.outline, study.runtime)


def _really_pruned(study: Study, anchors: Anchors, importance: str, cut: dict) -> float:
    structure = study.outline.structure("channel", importance)
    module = copy.deepcopy(study.module)
    edits = [
        group.edit(sorted(score.argsort(stable=True)[: group.units - cut["channel", group.name]].tolist()))
        for group, score in zip(structure.groups, structure.scores, strict=True)
    ]
    replay(module, structure.example, edits)
    split, points = study.dataset.validation, anchors.points
    inputs = torch.from_numpy(study.dataset.prepare(split.inputs[points.samples[points.places]]))
    estimator = Estimator(points, split.labels[points.samples])
    share, whole = (estimator.share(logits(m, inputs).numpy()) for m in (module, study.module))
    return share / whole


@pytest.mark.parametrize("importance", ["l2", "l1", "taylor"])
@pytest.mark.parametrize("knobs", [{"ratio": 0.3}, {"ratio": 0.5, "scope": "global"}, {"ratio": 0.2, "round_to": 4}])
def test_they_answer_as_if_the_channels_were_gone(importance, knobs, study, anchors):
    prospect = _prospect(study, Prune(importance=importance, **knobs), Quantize())
    found = anchors.kept(prospect)
    assert found == pytest.approx(_really_pruned(study, anchors, importance, prospect.cut), abs=1e-5)


def test_the_model_they_look_at_is_whole_again_afterwards(study, anchors):
    little, much = (_prospect(study, Prune(ratio=ratio)) for ratio in (0.1, 0.9))
    before = Anchors(study, anchors.points).kept(little)
    fresh = Anchors(study, anchors.points)
    fresh.kept(much)
    assert fresh.kept(little) == before


def test_of_what_is_not_known_beforehand_nothing_is_said(study, anchors):
    assert anchors.kept(_prospect(study, Prune(importance="ablation"))) is None


def test_what_was_kept_is_not_computed_again(study, anchors, monkeypatch):
    prospect = _prospect(study, Prune(ratio=0.45))
    kept = anchors.kept(prospect, keep=True)
    again = anchors_of(study)
    monkeypatch.setattr(again, "_now", lambda: pytest.fail("computed again"))
    assert again.kept(prospect) == kept


def test_the_model_as_it_is_keeps_all(study, anchors):
    assert anchors.kept(_prospect(study, Prune(ratio=0.0))) == pytest.approx(1)


def test_what_other_anchors_told_is_not_taken_for_theirs(study, anchors):
    prospect = _prospect(study, Prune(ratio=0.35))
    kept = anchors.kept(prospect, keep=True)
    fewer = replace(anchors.points, weights=anchors.points.weights[::-1].copy())
    assert Anchors(study, fewer).kept(prospect) != kept
    assert Anchors(study, anchors.points).kept(prospect) == kept


def test_they_are_opened_anew_only_where_others_were_chosen(study, anchors):
    assert anchors_of(study, anchors) is anchors
    path = study.path / "prediction" / ANCHORS
    kept = path.read_bytes()
    replace(anchors.points, weights=anchors.points.weights[::-1].copy()).keep(path)
    other = anchors_of(study, anchors)
    path.write_bytes(kept)
    assert other is not None and other.name != anchors.name


def test_a_damaged_file_is_as_if_there_were_none(study, anchors):
    path = study.path / "prediction" / ANCHORS
    kept = path.read_bytes()
    path.write_bytes(kept[:100])
    assert anchors_of(study, anchors) is None
    path.write_bytes(kept)
