"""Channel pruning: each importance means what it says, and no edit is kept that the model can't run with."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench import Dataset, Prune, WorkbenchError
from workbench.models import MODELS, fitted
from workbench.pruning.plan import replay
from workbench.runtimes import RUNTIMES
from workbench.steps.base import Context, Work
from workbench.weights import weight_hash

FOUR_FIGURES = Dataset(
    train=(np.random.default_rng(0).random((200, 4), np.float32), np.arange(200) % 2), name="four figures"
)


class PaddedBlock(nn.Module):
    """A residual block whose shortcut is padded with a fixed number of zero channels (He et al. 2016, option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.stride, self.padding = stride, (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        return F.relu(self.conv2(F.relu(self.conv1(x))) + shortcut)


def _padded_resnet() -> nn.Module:
    layers = {"stem": nn.Conv2d(1, 8, 3, padding=1), "block1": PaddedBlock(8, 8, 1), "block2": PaddedBlock(8, 16, 2)}
    module = nn.Sequential()
    for name, layer in layers.items():
        module.add_module(name, layer)
    module.add_module("pool", nn.AdaptiveAvgPool2d(1))
    module.add_module("flatten", nn.Flatten())
    module.add_module("fc", nn.Linear(16, 10))
    return module.eval()


class FixedShape(nn.Module):
    """Its convolution's channels are counted again in a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.register_buffer("scale", torch.ones(8, 1, 1))
        self.fc = nn.Linear(8 * 26 * 26, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc((self.conv(x) * self.scale).flatten(1))


def _two_layers(rows: list[list[float]], outgoing: list[float]) -> nn.Module:
    """A hidden channel for each row of weights; `outgoing` is what the next layer takes of each."""
    module = nn.Sequential(nn.Linear(4, len(rows), bias=False), nn.ReLU(), nn.Linear(len(rows), 2, bias=False))
    module[0].weight.data = torch.tensor(rows)
    module[2].weight.data = torch.tensor([outgoing, [-value for value in outgoing]])
    return module.eval()


def _pruned(module: nn.Module, dataset: Dataset, seed: int = 0, **knobs) -> Work:
    work = Work(copy.deepcopy(module))
    Prune(**knobs).apply(work, Context(dataset, module, seed))
    return work


def _widths(module: nn.Module) -> list[int]:
    return [layer.weight.shape[0] for layer in module.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def _removed(work: Work, layer: str) -> list[int]:
    return next(edit["indices"] for edit in work.plan if edit["layer"] == layer)


@pytest.mark.parametrize(("importance", "removed"), [("l1", [0]), ("l2", [1])])
def test_l1_removes_the_smallest_sum_and_l2_the_smallest_length(importance, removed):
    module = _two_layers([[3.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]], outgoing=[0.1, 0.1])
    assert _removed(_pruned(module, FOUR_FIGURES, ratio=0.5, importance=importance), "0") == removed


@pytest.mark.parametrize(("importance", "removed"), [("taylor", [2]), ("l1", [1]), ("l2", [1])])
def test_taylor_removes_what_the_loss_does_not_feel_however_large_it_is(importance, removed):
    rows = [[0.5, 0.5, -0.2, 0.3], [0.2, 0.1, 0.3, 0.2], [9.0, 9.0, 9.0, 9.0], [0.4, 0.6, 0.3, -0.2]]
    module = _two_layers(rows, outgoing=[1.0, 0.7, 0.0, -1.0])
    assert _removed(_pruned(module, FOUR_FIGURES, ratio=0.25, importance=importance), "0") == removed


def test_random_depends_on_the_seed_and_on_nothing_else(lenet5, few_digits):
    fresh = MODELS["lenet5"].build(1, 10)
    plans = [
        _pruned(module, few_digits, seed, importance="random").plan for module in (lenet5, fresh) for seed in (0, 1)
    ]
    assert plans[0] == plans[2]
    assert plans[1] == plans[3]
    assert plans[0] != plans[1]


@pytest.mark.parametrize("importance", ["l1", "l2", "taylor", "random"])
@pytest.mark.parametrize(("ratio", "widths"), [(0.1, [18, 45, 450]), (0.5, [10, 25, 250]), (0.95, [1, 2, 25])])
def test_the_same_share_of_every_layer_goes_and_the_outputs_stay(lenet5, few_digits, importance, ratio, widths):
    assert _widths(_pruned(lenet5, few_digits, ratio=ratio, importance=importance).module) == [*widths, 10]


@pytest.mark.parametrize("importance", ["l1", "l2", "taylor", "random"])
def test_over_the_whole_model_the_share_is_the_same_but_not_in_every_layer(lenet5, few_digits, importance):
    widths = _widths(_pruned(lenet5, few_digits, scope="global", importance=importance).module)
    assert widths != [10, 25, 250, 10]
    assert sum(widths[:-1]) == pytest.approx(285, abs=3)
    assert widths[-1] == 10


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("multiple", [2, 4, 8, 16, 32])
def test_what_is_kept_is_a_multiple(lenet5, few_digits, scope, multiple):
    work = _pruned(lenet5, few_digits, scope=scope, round_to=multiple)
    for before, after in zip([20, 50, 500], _widths(work.module), strict=False):
        assert after % multiple == 0 or after == before < 2 * multiple
        assert 0 < after <= before


def test_rounding_goes_to_the_nearest_multiple(lenet5, few_digits):
    assert _widths(_pruned(lenet5, few_digits, ratio=0.5, round_to=8).module) == [8, 24, 248, 10]
    assert _widths(_pruned(lenet5, few_digits, ratio=0.5, round_to=16).module) == [16, 32, 256, 10]


def test_a_ratio_of_zero_changes_nothing(lenet5, few_digits):
    work = _pruned(lenet5, few_digits, ratio=0.0)
    assert weight_hash(work.module) == weight_hash(lenet5)
    assert (work.plan, work.notes) == ([], [])


def test_what_is_kept_are_the_very_weights(lenet5, few_digits):
    work = _pruned(lenet5, few_digits, ratio=0.5)
    kept = [i for i in range(20) if i not in _removed(work, "conv1")]
    assert torch.equal(work.module.conv1.weight, lenet5.conv1.weight[kept])
    assert torch.equal(work.module.conv1.bias, lenet5.conv1.bias[kept])


def test_the_plan_makes_the_same_edits_again_also_of_two_prunings(lenet5, few_digits):
    work = _pruned(lenet5, few_digits, ratio=0.3)
    Prune(ratio=0.4, importance="random").apply(work, Context(few_digits, lenet5))
    again = copy.deepcopy(lenet5)
    replay(again, torch.from_numpy(few_digits.prepare(few_digits.train.inputs[:2])), work.plan)
    assert weight_hash(again) == weight_hash(work.module)
    assert _widths(again) == [8, 21, 210, 10]


def test_every_stage_of_the_zoos_residual_network_is_pruned(few_digits):
    dataset = fitted("resnet20", few_digits)
    work = _pruned(MODELS["resnet20"].build(1, 10).eval(), dataset, ratio=0.5)
    assert work.notes == []
    assert _widths(work.module) == [width // 2 for width in _widths(MODELS["resnet20"].build(1, 10))[:-1]] + [10]


def test_a_residual_network_with_padded_shortcuts_keeps_the_layers_that_the_padding_counts(few_digits):
    work = _pruned(_padded_resnet(), few_digits, ratio=0.5)
    outputs = work.module(torch.from_numpy(few_digits.prepare(few_digits.train.inputs[:7])))
    assert outputs.shape == (7, 10)
    assert _widths(work.module) == [8, 4, 8, 8, 16, 10]
    (note,) = work.notes
    assert "Left whole" in note
    named = {name for name in ("stem", "block1.conv1", "block1.conv2", "block2.conv1", "block2.conv2") if name in note}
    assert named == {"stem", "block1.conv2", "block2.conv2"}


def test_the_scope_latency_times_no_layer_that_the_padding_counts(few_digits):
    module = _padded_resnet()
    work = Work(copy.deepcopy(module))
    Prune(ratio=0.5, scope="latency").apply(work, Context(few_digits, module, runtime=RUNTIMES["torch"]))
    assert work.notes[0].startswith("Left whole, as the model no longer runs")
    assert work.module(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


class NarrowPaddedBlock(PaddedBlock):
    """The same, padded only where it is needed: dependency graphs then take the shortcut for one of equal channels."""

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        if self.padding:
            shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        return F.relu(self.conv2(F.relu(self.conv1(x))) + shortcut)


def test_an_edit_that_leaves_a_model_running_but_adds_up_other_channels_is_not_made(few_digits):
    module = _padded_resnet()
    module.block1, module.block2 = NarrowPaddedBlock(8, 8, 1), NarrowPaddedBlock(8, 16, 2)
    work = _pruned(module, few_digits, ratio=0.5)
    assert _widths(work.module) == [8, 4, 8, 8, 16, 10]
    assert any("computes something else" in note and "stem" in note for note in work.notes)


def test_a_model_that_breaks_at_every_edit_is_refused_and_stays_as_it_was(few_digits):
    module = FixedShape().eval()
    work = Work(copy.deepcopy(module))
    with pytest.raises(WorkbenchError, match=r"channels of this model can't be pruned.*granularity: weight"):
        Prune().apply(work, Context(few_digits, module))
    assert weight_hash(work.module) == weight_hash(module)
    assert work.plan == []


def test_a_model_of_nothing_but_outputs_is_refused(few_digits):
    with pytest.raises(WorkbenchError, match=r"no channels to prune: .*granularity: weight"):
        _pruned(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).eval(), few_digits)


def test_where_no_layer_has_as_many_channels_as_a_multiple_the_notes_say_so(few_digits):
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 4), nn.ReLU(), nn.Linear(4, 10)).eval()
    work = _pruned(module, few_digits, round_to=8)
    assert weight_hash(work.module) == weight_hash(module)
    assert work.notes == ["No channel was removed: the layers are too narrow for this ratio rounded to 8."]


def test_taylor_leaves_no_gradients_behind(lenet5, few_digits):
    work = _pruned(lenet5, few_digits, importance="taylor")
    assert all(p.grad is None or not p.grad.any() for p in work.module.parameters())


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(1, 12, 3), nn.ReLU(), nn.Conv2d(12, 12, 3, groups=3), nn.ReLU()],
        [nn.Conv2d(1, 12, 3), nn.GroupNorm(3, 12), nn.ReLU(), nn.Conv2d(12, 12, 3), nn.ReLU()],
        [nn.Conv2d(1, 12, 3), nn.Conv2d(12, 12, 3, groups=12), nn.BatchNorm2d(12), nn.ReLU()],
        [nn.Conv2d(1, 12, 3), nn.ReLU(), nn.ConvTranspose2d(12, 12, 3), nn.ReLU()],
    ],
    ids=["grouped convolution", "group norm", "depthwise convolution", "transposed convolution"],
)
@pytest.mark.parametrize("importance", ["l2", "group", "taylor", "fpgm", "apoz", "ablation"])
def test_convolutions_of_every_sort_lose_their_share(few_digits, layers, importance):
    torch.manual_seed(0)
    pool = nn.AdaptiveAvgPool2d(4), nn.Flatten()
    module = nn.Sequential(*copy.deepcopy(layers), *pool, nn.Linear(12 * 16, 10)).eval()
    work = _pruned(module, few_digits, ratio=0.5, importance=importance)
    widths = [layer.out_channels for layer in work.module if hasattr(layer, "out_channels")]
    assert widths == [6] * len(widths)
    assert work.notes == []
