"""A scan measures every layer once, goes on where it was stopped, and leaves the model alone."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from workbench import Cancelled, Dataset, Study
from workbench.pruning.plan import replay
from workbench.quantization.grids import weight_grid
from workbench.sensitivity import BITS, RATIOS
from workbench.sensitivity_scan import SAMPLES, known_sensitivity, logits, sensitivity
from workbench.weights import weight_hash


def test_sensitivity_has_every_layer_at_every_ratio_and_width(scanned: Study) -> None:
    found = scanned.sensitivity()
    layers, values, accuracies, errors = found.grid("ratio")
    assert set(layers) == {"fc1", "fc2"} and values == sorted(RATIOS)
    assert accuracies.shape == errors.shape == (2, len(RATIOS))
    assert (errors[:, -1] > errors[:, 0]).all() and (errors >= 0).all()
    layers, values, *_ = found.grid("bits")
    assert set(layers) == {"fc1", "fc2", "fc3"} and values == sorted(BITS, reverse=True)


def test_sensitivity_leaves_the_model_alone_and_is_kept_by_its_weights(scanned: Study) -> None:
    files = list((scanned.path / "sensitivity").iterdir())
    assert [file.name for file in files] == [f"{weight_hash(scanned.module)[:16]}-l2.jsonl"]
    before = files[0].stat().st_mtime_ns
    scanned.sensitivity()
    assert files[0].stat().st_mtime_ns == before


def test_sensitivity_goes_on_where_it_was_stopped(digits: Dataset, tmp_path: Path) -> None:
    study = Study("lenet300", digits, path=tmp_path)

    def stop(facts: dict) -> None:
        if facts["share"] > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        study.sensitivity(on_progress=stop)
    partly = known_sensitivity(study)
    assert partly is not None and 0 < len(partly.points) < len(study.sensitivity().points)
    assert study.sensitivity().points[: len(partly.points)] == partly.points


def test_sensitivity_tells_how_far_the_outputs_move(scanned: Study) -> None:
    found = scanned.sensitivity()
    moved = found.output_error("bits")
    assert moved.shape == (3, len(BITS)) and (np.diff(moved, axis=1) > 0).all()  # the fewer bits, the further
    point = next(point for point in found.points if (point.kind, point.layer, point.value) == ("bits", "fc1", 2))
    module = copy.deepcopy(scanned.module)
    weight = module.get_submodule("fc1").get_parameter("weight")
    with torch.no_grad():
        weight.copy_(weight_grid(weight, 2).nearest(weight))
    inputs = torch.from_numpy(scanned.dataset.prepare(scanned.dataset.validation.inputs[:1000]))
    before, after = logits(scanned.module, inputs), logits(module, inputs)
    assert point.moved == pytest.approx(float((after - before).norm() / before.norm()))
    assert point.sqnr == pytest.approx(10 * float(torch.log10(before.square().sum() / (after - before).square().sum())))
    row = next(row for row in found.rows("output error") if row["layer"] == "fc1")
    assert row["2 bits"].endswith("%") and float(row["2 bits"][:-1]) / 100 == pytest.approx(point.moved, rel=0.05)
    assert "moves them most" in found.sentences("output error")[1]


def test_what_an_earlier_version_measured_loads_and_is_completed_only_where_it_is_asked_for(
    scanned: Study, tmp_path: Path
) -> None:
    new = scanned.sensitivity()
    shutil.copytree(scanned.path, tmp_path / "old")
    (file,) = (tmp_path / "old" / "sensitivity").iterdir()
    facts = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({k: v for k, v in fact.items() if k != "moved"}) + "\n" for fact in facts))
    study = Study("lenet300", scanned.dataset, path=tmp_path / "old")
    old = known_sensitivity(study)
    assert old is not None and old.rows() == new.rows() and np.isnan(old.output_error("bits")).all()
    assert {cell for row in old.rows("output error") for name, cell in row.items() if name != "layer"} == {""}
    assert sensitivity(study).points == old.points  # as a search asks, which has no time to measure it all again
    assert study.sensitivity().points == new.points
    assert known_sensitivity(study).points == new.points  # type: ignore[union-attr]


class Viewing(nn.Module):
    """A network that flattens by `view`, as much code does, with a norm over several channels or without."""

    def __init__(self, norm: bool = False):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(1, 8, 5, 2), nn.Conv2d(8, 8, 3, 2)
        self.norm, self.out = nn.GroupNorm(2, 8) if norm else nn.Identity(), nn.Linear(200, 10)

    def forward(self, x):
        x = self.second(torch.relu(self.norm(self.first(x))))
        return self.out(x.view(x.size(0), -1))


@pytest.mark.parametrize("norm", [False, True])
def test_its_layers_suffer_what_they_would_if_they_were_really_cut(norm, few_digits, tmp_path):
    study = Study(Viewing(norm), few_digits, path=tmp_path)
    found = sensitivity(study, bits=(8,))
    structure = study.outline.structure("channel")
    group, score = structure.groups[0], structure.scores[0]
    point = next(p for p in found.points if (p.kind, p.layer, p.value) == ("ratio", group.name, 0.5))
    cut = copy.deepcopy(study.module)
    replay(cut, structure.example, [group.edit(sorted(score.argsort(stable=True)[: group.units // 2].tolist()))])
    inputs = torch.from_numpy(few_digits.prepare(few_digits.validation.inputs[:SAMPLES]))
    before, after = logits(study.module, inputs), logits(cut, inputs)
    assert point.moved == pytest.approx(float((after - before).norm() / before.norm()), rel=1e-4)
