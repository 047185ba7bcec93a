"""Every legal combination of granularity, importance and scope leaves a model that runs, as small as asked."""

import copy
import json

import pytest
import torch
from torch import Tensor, nn

from workbench import Dataset, Prune, WorkbenchError
from workbench.pruning.plan import replay
from workbench.runtimes import RUNTIMES
from workbench.steps.base import Context, Work
from workbench.steps.prune import WORKS_WITH

WEIGHTS_ONLY = ("weight", "n:m")
STRUCTURES = {name: table for name, table in WORKS_WITH.items() if name not in WEIGHTS_ONLY}
LEGAL = [
    (granularity, importance, scope)
    for granularity, table in STRUCTURES.items()
    for importance in table["importance"]
    for scope in table["scope"]
    if scope != "latency"  # exports dozens of files; test_channels_targets.py has it
]
ILLEGAL = [
    (granularity, knob, choice)
    for granularity, table in WORKS_WITH.items()
    for knob, choices in table.items()
    for choice in sorted({c for other in WORKS_WITH.values() for c in other.get(knob, ())} - set(choices))
]


class Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, 2 * width, 3, padding=1, bias=False), nn.BatchNorm2d(2 * width)
        self.conv2, self.bn2 = nn.Conv2d(2 * width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.num_heads, self.head_dim = heads, width // heads
        self.norm = nn.LayerNorm(width)
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (
            part(y).unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for part in (self.q, self.k, self.v)
        )
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return x + self.proj(y.transpose(1, 2).flatten(2))


class Everything(nn.Module):
    """A stem, four residual blocks, two attentions, a wide hidden layer and a classifier: something for each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn = nn.Conv2d(1, 8, 7, stride=7), nn.BatchNorm2d(8)
        self.blocks = nn.Sequential(*(Residual(8) for _ in range(4)))
        self.attention1, self.attention2 = Attention(8, 4), Attention(8, 4)
        self.fc1, self.fc2 = nn.Linear(8, 40), nn.Linear(40, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(torch.relu(self.bn(self.stem(x)))).flatten(2).transpose(1, 2)
        x = self.attention2(self.attention1(x))
        return self.fc2(torch.relu(self.fc1(x.mean(1))))


@pytest.fixture(scope="module")
def everything() -> nn.Module:
    torch.manual_seed(0)
    return Everything().eval()


@pytest.fixture(scope="module")
def digits64(few_digits: Dataset) -> Dataset:
    """As few as it takes."""
    train, validation = ((split.inputs[:64], split.labels[:64]) for split in (few_digits.train, few_digits.validation))
    return Dataset(train=train, validation=validation, classes=few_digits.classes, name="mnist")


def _units(module: nn.Module, granularity: str, importance: str) -> int:
    """How many of what the granularity removes there are."""
    if granularity == "block":
        return sum(isinstance(block, Residual) for block in module.modules())
    if granularity == "head":
        return module.attention1.num_heads + module.attention2.num_heads
    if granularity == "mlp":
        return module.fc1.out_features
    channels = module.stem.out_channels + sum(block.conv1.out_channels for block in module.blocks)
    return channels if importance == "bn" else channels + module.fc1.out_features  # which has no batch-norm


@pytest.mark.parametrize(("granularity", "importance", "scope"), LEGAL)
def test_it_runs_is_as_small_as_asked_and_its_plan_makes_it_again(everything, digits64, granularity, importance, scope):
    work = Work(copy.deepcopy(everything))
    step = Prune(ratio=0.5, granularity=granularity, importance=importance, scope=scope)
    step.apply(work, Context(digits64, everything))
    inputs = torch.from_numpy(digits64.prepare(digits64.validation.inputs[:7]))
    outputs = work.module(inputs)
    assert outputs.shape == (7, 10)
    assert _units(work.module, granularity, importance) / _units(everything, granularity, importance) == pytest.approx(
        0.5, abs=0.04
    )
    again = copy.deepcopy(everything)
    replay(again, inputs[:2], work.plan)
    again.load_state_dict(work.module.state_dict())
    assert torch.equal(again(inputs), outputs)


@pytest.mark.parametrize(("granularity", "knob", "choice"), ILLEGAL)
def test_what_does_not_go_together_is_refused_when_it_is_declared(granularity, knob, choice):
    with pytest.raises(WorkbenchError, match=f"'{granularity}' can't have {knob} '{choice}'. Choose one of: "):
        Prune(granularity=granularity, **{knob: choice})


def test_several_kinds_of_pruning_in_a_row_are_one_plan_and_one_file(everything, digits64, tmp_path):
    work, context = Work(copy.deepcopy(everything)), Context(digits64, everything)
    for knobs in ({"granularity": "block"}, {}, {"granularity": "head"}, {"granularity": "mlp", "ratio": 0.2}):
        Prune(**{"ratio": 0.25, **knobs}).apply(work, context)
    assert [edit["edit"] for edit in work.plan].count("block") == 1
    assert json.loads(json.dumps(work.plan)) == work.plan
    inputs = digits64.prepare(digits64.validation.inputs[:7])
    outputs = work.module(torch.from_numpy(inputs))
    again = copy.deepcopy(everything)
    replay(again, torch.from_numpy(inputs[:2]), work.plan)
    again.load_state_dict(work.module.state_dict())
    assert torch.equal(again(torch.from_numpy(inputs)), outputs)
    runtime = RUNTIMES["onnxruntime"]
    runtime.export(work, inputs[:2], inputs, tmp_path / "model.onnx")
    answers = torch.from_numpy(runtime.load(tmp_path / "model.onnx")(inputs))
    assert torch.allclose(answers, outputs, atol=1e-3)
