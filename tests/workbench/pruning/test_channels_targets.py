"""Targets, and ratios of single layers: what was asked for is reached, told, and nothing is ever emptied."""

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from workbench import Dataset, Pack, Prune, Quantize, ShareWeights, WorkbenchError
from workbench.macs import count_macs
from workbench.pruning.allocation import by_kind, by_layer, by_model
from workbench.pruning.groups import Group, Member
from workbench.pruning.latency_aware import LatencyAware, levels
from workbench.pruning.plan import replay
from workbench.quantization.grids import refit
from workbench.runtimes import PACKED, RUNTIMES
from workbench.steps.base import Context, Work


def _pruned(module: nn.Module, dataset: Dataset, runtime: str | None = None, **knobs) -> Work:
    work = Work(copy.deepcopy(module))
    Prune(**knobs).apply(work, Context(dataset, module, runtime=RUNTIMES[runtime] if runtime else None))
    return work


def _widths(module: nn.Module) -> list[int]:
    return [layer.weight.shape[0] for layer in module.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def _figure(module: nn.Module, dataset: Dataset, target: str) -> int:
    if target == "macs":
        return count_macs(module, dataset.prepare(dataset.train.inputs[:1]))
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("target", "keep", "scope"), [("macs", 0.3, "layer"), ("macs", 0.7, "global"), ("parameters", 0.5, "layer")]
)
def test_what_is_left_is_at_most_what_was_asked_and_hardly_less(lenet5, few_digits, target, keep, scope):
    work = _pruned(lenet5, few_digits, target=target, keep=keep, scope=scope)
    left = _figure(work.module, few_digits, target) / _figure(lenet5, few_digits, target)
    assert keep - 0.06 < left <= keep
    assert f"{left:.1%} of the {'MACs' if target == 'macs' else 'parameters'} are left, at a ratio of" in work.notes[0]


@pytest.mark.parametrize(("target", "limit"), [("macs", 700_000), ("parameters", 200_000)])
def test_a_limit_is_in_the_targets_own_figures(lenet5, few_digits, target, limit):
    work = _pruned(lenet5, few_digits, target=target, limit=limit)
    left = _figure(work.module, few_digits, target)
    assert 0.85 * limit < left <= limit
    assert f"{left:,} of the {'MACs' if target == 'macs' else 'parameters'} are left" in work.notes[0]
    with pytest.raises(WorkbenchError, match=r"can't get down to 10: the most that may go leaves [\d,]+\. Keep more"):
        _pruned(lenet5, few_digits, target=target, limit=10)


def test_a_limit_in_milliseconds_is_that_of_a_call(lenet5, few_digits):
    context = Context(few_digits, lenet5, runtime=RUNTIMES["torch"])
    slow = _pruned(lenet5, few_digits, "torch", target="latency", limit=1e6)
    assert _widths(slow.module) == [20, 50, 500, 10]
    assert "ms [" in slow.notes[-1] and "of the latency is left" in slow.notes[-1]
    with pytest.raises(WorkbenchError, match=r"The latency can't get down to 1e-06 ms: the most that may go leaves"):
        Prune(target="latency", limit=1e-6).apply(Work(copy.deepcopy(lenet5)), context)


def test_single_weights_count_what_is_not_zero_and_the_bytes_of_a_packed_file(lenet5, few_digits, tmp_path):
    work = _pruned(lenet5, few_digits, granularity="weight", scope="global", target="parameters", limit=50_000)
    left = sum(int(p.count_nonzero()) for p in work.module.parameters())
    assert 49_000 < left <= 50_000
    assert f"{left:,} of the parameters are left" in work.notes[-1]
    packed = _pruned(lenet5, few_digits, granularity="weight", scope="global", target="bytes", limit=400_000)
    inputs = few_digits.prepare(few_digits.train.inputs[:2])
    PACKED.export(packed, inputs, inputs, tmp_path / "model.packed")
    assert 300_000 < (tmp_path / "model.packed").stat().st_size <= 400_000


def test_what_ships_packed_is_weighed_packed(lenet5, few_digits):
    work = Work(copy.deepcopy(lenet5))
    context = Context(few_digits, lenet5, runtime=RUNTIMES["onnxruntime"])
    ShareWeights(bits=4).apply(work, context)
    Pack().apply(work, context)
    inputs = few_digits.prepare(few_digits.train.inputs[:2])
    Prune(target="bytes", limit=60_000).apply(work, context)
    with tempfile.TemporaryDirectory() as folder:
        PACKED.export(work, inputs, inputs, Path(folder, "model.packed"))
        assert 30_000 < Path(folder, "model.packed").stat().st_size <= 60_000


def test_bytes_are_those_of_the_exported_file(lenet5, few_digits, tmp_path):
    work = _pruned(lenet5, few_digits, "torch", target="bytes", keep=0.5)
    inputs = few_digits.prepare(few_digits.train.inputs[:2])
    sizes = []
    for index, module in enumerate((lenet5, work.module)):
        path = tmp_path / f"{index}.pt2"
        RUNTIMES["torch"].export(Work(module), inputs, inputs, path)
        sizes.append(path.stat().st_size)
    assert sizes[1] <= 0.5 * sizes[0]
    assert f"{sizes[1] / sizes[0]:.1%} of the bytes of the file are left" in work.notes[0]


@pytest.mark.parametrize(
    "first",
    [Quantize(weight_bits=2, calibration_samples=16, simulate=True), ShareWeights(bits=2, conv_bits=2), Pack()],
    ids=["simulated", "shared", "packed"],
)
def test_bytes_are_those_of_the_packed_file_where_one_will_ship(first, lenet5, few_digits, tmp_path):
    context = Context(few_digits, copy.deepcopy(lenet5), runtime=RUNTIMES["torch"])
    work, sizes = Work(lenet5), []
    inputs = few_digits.prepare(few_digits.train.inputs[:2])
    for step in (first, Prune(target="bytes", keep=0.5)):
        step.apply(work, context)
        refit(dict(work.module.named_parameters()), work.grids)
        PACKED.export(work, inputs, inputs, tmp_path / "model.packed")
        sizes.append((tmp_path / "model.packed").stat().st_size)
    assert 0.4 * sizes[0] < sizes[1] <= 0.5 * sizes[0]
    assert any(f"{sizes[1] / sizes[0]:.1%} of the bytes of the file are left" in note for note in work.notes)


def test_bytes_and_latency_need_a_runtime(lenet5, few_digits):
    for knobs in ({"target": "bytes"}, {"target": "latency"}, {"scope": "latency"}):
        with pytest.raises(WorkbenchError, match=r"no runtime was given to export for\. Run the recipe in a study"):
            _pruned(lenet5, few_digits, **knobs)


def test_what_can_not_be_reached_is_refused_with_how_far_it_goes(lenet5, few_digits):
    with pytest.raises(
        WorkbenchError, match=r"MACs can't get down to 5.0%: the most that may go leaves [\d.]+%.*Keep more"
    ):
        _pruned(lenet5, few_digits, target="macs", keep=0.05, layers={"conv1": 0.0, "conv2": 0.0})


def test_a_layer_has_its_own_ratio_or_is_left_alone(lenet5, few_digits):
    work = _pruned(lenet5, few_digits, ratio=0.5, layers={"conv1": 0.0, "fc1": 0.9})
    assert _widths(work.module) == [20, 25, 50, 10]
    work = _pruned(lenet5, few_digits, ratio=0.5, scope="global", layers={"conv1": 0.2})
    assert _widths(work.module)[0] == 16
    assert sum(_widths(work.module)[1:3]) == 275


def test_a_layer_that_is_not_there_or_can_not_be_pruned_is_refused(lenet5, few_digits):
    with pytest.raises(WorkbenchError, match=r"no layer 'conv3' to prune\. Did you mean 'conv\d'"):
        _pruned(lenet5, few_digits, layers={"conv3": 0.5})
    with pytest.raises(WorkbenchError, match=r"The layer 'fc2' can't be pruned here\. Choose from: "):
        _pruned(lenet5, few_digits, layers={"fc2": 0.5})
    assert _widths(_pruned(lenet5, few_digits, layers={"fc2": 0.0}).module) == [10, 25, 250, 10]
    with pytest.raises(WorkbenchError, match=r"Prune's layers can't be 1\.5"):
        Prune(layers={"conv1": 1.5})


def test_no_layer_is_emptied_and_the_notes_say_what_was_kept(few_digits):
    torch.manual_seed(0)
    layers = nn.Flatten(), nn.Linear(784, 3), nn.ReLU(), nn.Linear(3, 40), nn.ReLU(), nn.Linear(40, 10)
    narrow = nn.Sequential(*layers).eval()
    for scope in ("layer", "global"):
        with torch.no_grad():
            narrow[1].weight.mul_(1e-3)
        work = _pruned(narrow, few_digits, ratio=0.9, scope=scope)
        assert _widths(work.module)[0] == 1
        assert "No layer is ever emptied; these keep the least that they can: 1 (1 of 3)" in work.notes[0]


def _groups(**units: tuple[int, tuple]) -> list[Group]:
    return [Group(name, (name,), count, shape=shape) for name, (count, shape) in units.items()]


def test_scopes_share_a_ratio_out_in_their_own_way():
    groups = _groups(a=(4, ("conv",)), b=(4, ("conv",)), c=(4, ("linear",)))
    scores = [torch.tensor(s) for s in ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [0.1, 0.2, 0.3, 0.4])]
    assert by_layer(groups, scores, 0.5) == [2, 2, 2]
    assert by_model(groups, scores, 0.5) == [1, 4, 1]  # the six lowest, one of each left
    assert by_kind(groups, scores, 0.5) == [1, 3, 2]  # of four linear ones two, of eight convolutional ones four


def test_widths_to_time_are_few_and_multiples():
    assert levels(Group("a", (), 64), 1) == [56, 40, 24, 8]
    assert levels(Group("a", (), 16), 1) == [12, 8, 4]
    assert levels(Group("a", (), 48), 16) == [32, 16]
    assert levels(Group("a", (), 3), 1) == []


def test_the_target_latency_is_measured_on_the_runtime_and_said_to_be(lenet5, few_digits):
    work = _pruned(lenet5, few_digits, "torch", target="latency", keep=0.9)
    assert _widths(work.module) < [20, 50, 500, 10]
    (note,) = work.notes
    assert "of the latency is left, at a ratio of" in note
    assert "candidates were exported and timed against the model before this step on PyTorch (eager)" in note
    assert "Measured again, the ratio may come out a little different." in note


def test_the_scope_latency_takes_only_widths_that_it_timed(lenet5, few_digits):
    work = _pruned(lenet5, few_digits, "torch", scope="latency", round_to=16)
    for width, whole in zip(_widths(work.module), (20, 50, 500), strict=False):
        assert width == whole or width % 16 == 0
    assert sum(_widths(work.module)[:-1]) >= 285
    assert "narrower models were exported and timed" in work.notes[0]


def test_hidden_widths_go_by_latency_too(few_digits):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    work = _pruned(module, few_digits, "torch", granularity="mlp", scope="latency", ratio=0.5, round_to=16)
    first, second, classes = _widths(work.module)
    assert (first % 16, second % 16, classes) == (0, 0, 10)
    assert 48 <= first + second <= 96
    assert "narrower models were exported and timed" in work.notes[0]
    again = copy.deepcopy(module)
    replay(again, torch.from_numpy(few_digits.prepare(few_digits.train.inputs[:2])), work.plan)
    assert _widths(again) == [first, second, classes]


def _each(kept: list[int]) -> float:
    """A tenth lost with each channel."""
    return 1.2 - 0.1 * sum(kept)


def _aware(saved: list[dict[int, float]], damage: Callable[[list[int]], float] = _each) -> LatencyAware:
    """Two groups of four channels."""
    return LatencyAware(_groups(a=(4, ()), b=(4, ())), saved, damage, macs={})


def test_of_equal_channels_those_go_first_that_save_more_time():
    aware = _aware([{2: 0.1}, {2: 0.3}])
    assert aware.path == [(1, 2), (0, 2)]
    assert [aware.at(ratio) for ratio in (0.0, 0.25, 0.5)] == [[4, 4], [4, 2], [2, 2]]


def test_of_channels_that_save_the_same_time_those_go_first_that_lose_less():
    assert _aware([{2: 0.2}, {2: 0.2}], lambda kept: 3 * (4 - kept[0]) + (4 - kept[1])).path == [(1, 2), (0, 2)]
    assert _aware([{2: 0.2}, {2: 0.2}], lambda kept: (4 - kept[0]) + 3 * (4 - kept[1])).path == [(0, 2), (1, 2)]


def test_what_is_lost_counts_as_it_is_beside_the_cuts_made_before():
    saved = [{2: 0.3}, {2: 0.2}, {2: 0.2}]
    groups = _groups(a=(4, ()), b=(4, ()), c=(4, ()))

    def damage(kept: list[int]) -> float:  # b is cheap alone, and dear beside a
        return 0.1 * (4 - kept[0]) + 0.1 * (4 - kept[1]) + 0.2 * (4 - kept[2]) + (4 - kept[0]) * (4 - kept[1])

    assert LatencyAware(groups, saved, damage, macs={}).path == [(0, 2), (2, 2), (1, 2)]


def test_layers_take_turns_where_the_last_channels_are_the_dearest():
    aware = _aware(
        [{3: 0.1, 2: 0.2, 1: 0.3}, {3: 0.09, 2: 0.18, 1: 0.27}], lambda kept: sum(4 - k + (4 - k) ** 2 for k in kept)
    )
    assert aware.path == [(0, 3), (1, 3), (0, 2), (1, 2), (0, 1), (1, 1)], "neither layer is narrowed all the way first"


def test_widths_that_save_nothing_are_never_taken_and_those_that_save_late_are_jumped_to():
    aware = _aware([{3: 0.0, 2: 0.0, 1: 0.5}, {3: 0.0, 2: 0.0}])
    assert aware.path == [(0, 1)]
    assert aware.at(0.95) == [1, 4]


@pytest.mark.parametrize(("plain", "rival", "chosen"), [(0.4, 0.5, [2, 2]), (0.5, 0.4, [4, 2])])
def test_the_same_share_of_all_is_taken_where_the_path_is_no_faster_for_what_it_loses(plain, rival, chosen):
    """At a half, the plain way is [2, 2]; [4, 2] is as far along the path as a quarter goes, or no more is lost."""
    aware = _aware([{2: 0.1}, {2: 0.3}], lambda kept: {(2, 2): 0.3, (4, 2): 0.1, (2, 4): 0.2}.get(tuple(kept), 0.0))
    asked = []

    def left(kept: list[int]) -> float:
        asked.append(kept)
        return plain if kept == [2, 2] else rival

    aware.multiple, aware.left = 2, left
    aware.path = [(1, 2)]
    assert aware.at(0.5) == chosen == aware.at(0.5)
    assert asked == [[2, 2], [4, 2]], "each is measured once"


def test_what_others_have_cut_already_saves_no_time_twice():
    every = torch.arange(4)[:, None]
    groups = _groups(a=(4, ()), b=(4, ()), c=(4, ()))
    groups[0].members = [Member("out", "conv", "conv.weight", 0, every, every)]  # a and b are two sides of one layer
    groups[1].members = [Member("in", "conv", "conv.weight", 1, every, every)]
    groups[2].members = [Member("out", "other", "other.weight", 0, every, every)]
    saved = [{1: 0.50}, {1: 0.45}, {1: 0.30}]
    aware = LatencyAware(groups, saved, _each, macs={"conv": 100, "other": 100})
    assert aware.path == [(0, 1), (2, 1), (1, 1)]  # with three quarters of a gone, b saves a quarter of 0.45
