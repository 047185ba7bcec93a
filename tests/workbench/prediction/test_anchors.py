"""Anchor points tell what channels are worth from a few samples: the same as if the channels were really removed."""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file, save_file

from workbench import Dataset, Prune, Quantize, Recipe, Study
from workbench.prediction.anchors import LIKENESS, Anchors, anchors_of, margins, nearly_right
from workbench.prediction.choosing import ENOUGH, choose_anchors
from workbench.prediction.prospect import follow
from workbench.pruning.plan import replay
from workbench.sensitivity_scan import logits


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
    observed = np.random.default_rng(0).integers(0, 1000, (ENOUGH, 200)).tolist()
    choose_anchors(study, observed, range(0, 400, 2))
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
    split = study.dataset.validation
    inputs = torch.from_numpy(study.dataset.prepare(split.inputs[anchors.samples]))
    labels = torch.from_numpy(split.labels[anchors.samples]).long()
    share, whole = (
        nearly_right(margins(logits(m, inputs), labels).numpy(), anchors.weights) for m in (module, study.module)
    )
    return share / whole


@pytest.mark.parametrize("importance", ["l2", "l1", "taylor"])
@pytest.mark.parametrize("knobs", [{"ratio": 0.3}, {"ratio": 0.5, "scope": "global"}, {"ratio": 0.2, "round_to": 4}])
def test_they_answer_as_if_the_channels_were_gone(importance, knobs, study, anchors):
    prospect = _prospect(study, Prune(importance=importance, **knobs), Quantize())
    found = anchors.kept(prospect)
    assert found == pytest.approx(_really_pruned(study, anchors, importance, prospect.cut), abs=1e-5)


def test_the_model_they_look_at_is_whole_again_afterwards(study, anchors):
    little, much = (_prospect(study, Prune(ratio=ratio)) for ratio in (0.1, 0.9))
    before = Anchors(study, anchors.samples, anchors.weights).kept(little)
    fresh = Anchors(study, anchors.samples, anchors.weights)
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


def test_a_margin_is_how_far_the_right_class_lies_above_the_best_other_one():
    answers = torch.tensor([[3.0, 1.0, 2.5], [0.0, 4.0, 1.0], [1.0, torch.nan, 0.0]])
    assert margins(answers, torch.tensor([0, 2, 0])).tolist() == [0.5, -3.0, 0.0]


def test_far_from_the_edge_samples_are_right_or_wrong():
    weights = np.full(400, 1 / 400)
    found = np.where(np.arange(400) < 300, 1.0, -1.0)
    assert nearly_right(found, weights) == pytest.approx(0.75)
    assert nearly_right(0 * found, weights) == 0.5


def test_at_the_edge_a_sample_is_half_right_and_less_so_the_fewer_there_are():
    assert nearly_right(np.array([0.0, 100.0]), np.array([0.99, 0.01])) == pytest.approx(0.505, abs=1e-3)
    few, many = (nearly_right(np.full(count, 1.0), np.full(count, 1 / count)) for count in (4, 100))
    assert 0.8 < few < many < 1


@settings(max_examples=50)
@given(arrays(float, 20, elements=st.floats(-50, 50)), st.floats(0.01, 100))
def test_only_how_margins_compare_counts(found, factor):
    weights = np.full(20, 0.05)
    assert nearly_right(found * factor, weights) == pytest.approx(nearly_right(found, weights), abs=1e-9)


RECIPES = [Recipe([Prune(ratio=ratio, importance=name)]) for ratio in (0.1, 0.3, 0.5, 0.7) for name in ("l1", "l2")]


@pytest.fixture
def likened(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study whose anchors, as many on any machine, also tell by likeness."""
    monkeypatch.setattr("workbench.prediction.choosing.LONGEST", 1e6)
    monkeypatch.setattr("workbench.prediction.choosing.BUDGET", 1e6)
    monkeypatch.setattr("workbench.prediction.choosing.MOST", 60)
    other = Study("lenet5", study.dataset, path=tmp_path)
    observed = np.random.default_rng(0).integers(0, 1000, (ENOUGH, 200)).tolist()
    choose_anchors(other, observed, range(0, 400, 2), [*RECIPES, Recipe([Prune(importance="ablation")])])
    return other


def test_where_it_is_known_which_samples_are_alike_others_count_too(likened):
    prospect, found = _prospect(likened, Prune(ratio=0.5)), anchors_of(likened)
    alone = Anchors(likened, found.samples, found.weights)
    assert found.kept(_prospect(likened, Prune(ratio=0.0))) == pytest.approx(1)
    assert 0 < found.kept(prospect) < 1
    assert found.kept(prospect) != alone.kept(prospect)


def _cut_short(study: Study, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _of_other_anchors(study: Study, path: Path) -> None:
    facts = load_file(path)
    save_file({**facts, "anchors": facts["anchors"][::-1].copy()}, path)


def _of_an_earlier_form(study: Study, path: Path) -> None:
    facts = load_file(path)
    save_file({"likeness": facts["likeness"], "samples": facts["samples"]}, path)


@pytest.mark.parametrize("spoil", [_cut_short, _of_other_anchors, _of_an_earlier_form])
def test_a_likeness_that_does_not_fit_is_left_out(spoil, likened):
    prospect = _prospect(likened, Prune(ratio=0.5))
    anchors_of(likened).kept(prospect, keep=True)  # what was told by it is not mixed with what is told without
    spoil(likened, likened.path / "prediction" / LIKENESS)
    found = anchors_of(likened)
    assert not found.alike
    assert found.kept(prospect) == Anchors(likened, found.samples, found.weights).kept(prospect)


def test_anchors_are_opened_anew_when_it_is_known_what_they_are_like(likened):
    path = likened.path / "prediction" / LIKENESS
    kept = path.read_bytes()
    path.unlink()
    before = anchors_of(likened)
    assert anchors_of(likened, before) is before
    path.write_bytes(kept)
    after = anchors_of(likened, before)
    assert after.alike and anchors_of(likened, after) is after
