"""Anchor points tell what channels are worth from a few samples: the same as if the channels were really removed."""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from workbench import Dataset, Prune, Quantize, Recipe, Study
from workbench.prediction.anchors import ENOUGH, MOST, Anchors, _timed, anchors_of, choose_anchors, clustered
from workbench.prediction.prospect import follow
from workbench.pruning.plan import replay
from workbench.sensitivity_scan import logits


@pytest.fixture(scope="module", autouse=True)
def floats() -> Iterator[None]:
    """Floats of 32 bits, whatever is faster here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workbench.prediction.anchors.QUICK", 1e6)
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
    right = logits(module, inputs).softmax(1).numpy()[np.arange(len(inputs)), split.labels[anchors.samples]]
    return float(right @ anchors.weights)


@pytest.mark.parametrize("importance", ["l2", "l1", "taylor"])
@pytest.mark.parametrize("knobs", [{"ratio": 0.3}, {"ratio": 0.5, "scope": "global"}, {"ratio": 0.2, "round_to": 4}])
def test_they_answer_as_if_the_channels_were_gone(importance, knobs, study, anchors):
    prospect = _prospect(study, Prune(importance=importance, **knobs), Quantize())
    found = anchors.confidence(prospect)
    assert found == pytest.approx(_really_pruned(study, anchors, importance, prospect.cut), abs=1e-5)


def test_with_floats_of_16_bits_they_answer_nearly_the_same(study, anchors):
    prospect = _prospect(study, Prune(ratio=0.3))
    short = Anchors(study, anchors.samples, anchors.weights)
    short._reduced = True
    assert short.confidence(prospect) == pytest.approx(anchors.confidence(prospect), abs=0.01)
    assert short.confidence(prospect) != anchors.confidence(prospect)


def test_a_model_that_mixes_its_floats_keeps_those_of_32_bits(monkeypatch):
    class Mixing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(4, 4), torch.ones(4, 2)

        def forward(self, x):
            return torch.einsum("ni,ij->nj", self.first(x), self.second).index_add_(
                0, torch.tensor([0]), self.second[:1]
            )

    monkeypatch.setattr("workbench.prediction.anchors.QUICK", 0.0)
    assert _timed(torch.nn.Linear(4, 4), torch.ones(8, 4))[0] > 0
    seconds, reduced = _timed(Mixing(), torch.ones(8, 4))
    assert seconds > 0 and not reduced


def test_the_model_they_look_at_is_whole_again_afterwards(study, anchors):
    little, much = (_prospect(study, Prune(ratio=ratio)) for ratio in (0.1, 0.9))
    before = Anchors(study, anchors.samples, anchors.weights).confidence(little)
    fresh = Anchors(study, anchors.samples, anchors.weights)
    fresh.confidence(much)
    assert fresh.confidence(little) == before


def test_of_what_is_not_known_beforehand_nothing_is_said(study, anchors):
    assert anchors.confidence(_prospect(study, Prune(importance="random"))) is None


def test_what_was_kept_is_not_computed_again(study, anchors, monkeypatch):
    prospect = _prospect(study, Prune(ratio=0.45))
    kept = anchors.confidence(prospect, keep=True)
    again = anchors_of(study)
    monkeypatch.setattr(again, "_now", lambda: pytest.fail("computed again"))
    assert again.confidence(prospect) == kept


def test_they_are_chosen_once_for_a_study(study, anchors):
    choose_anchors(study, np.zeros((ENOUGH, 200), int).tolist(), range(200))
    assert anchors_of(study).samples == anchors.samples


def test_there_are_none_before_enough_was_observed(digits: Dataset, tmp_path: Path):
    study = Study("lenet300", digits, path=tmp_path)
    choose_anchors(study, np.zeros((ENOUGH - 1, 200), int).tolist(), range(200))
    assert anchors_of(study) is None


def test_there_are_none_for_a_model_that_takes_long(study, monkeypatch, tmp_path: Path):
    monkeypatch.setattr("workbench.prediction.anchors.BUDGET", 1e-6)
    other = Study("lenet5", study.dataset, path=tmp_path)
    choose_anchors(other, np.random.default_rng(0).integers(0, 1000, (ENOUGH, 200)).tolist(), range(200))
    assert anchors_of(other) is None


def test_samples_that_always_answer_alike_have_one_anchor_that_weighs_as_much_as_all_of_them():
    kinds = np.array([[0.9, 0.1, 0.5], [0.1, 0.9, 0.5]])
    observed = np.repeat(kinds, [60, 30, 10], axis=1)
    samples, weights = clustered(observed, MOST)
    assert sorted(weights) == pytest.approx([0.1, 0.3, 0.6])
    assert observed[:, samples] @ weights == pytest.approx(observed.mean(1))
