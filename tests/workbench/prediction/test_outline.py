"""What a cut leaves, by arithmetic, is exactly what is left when the model is really cut."""

import copy

import pytest
import torch
from torch import Tensor, nn

from workbench import Dataset, Prune, Quantize, Recipe
from workbench.errors import WorkbenchError
from workbench.macs import count_macs
from workbench.models import fresh_model
from workbench.prediction.outline import Outline
from workbench.prediction.prospect import follow
from workbench.pruning.structured import Structure
from workbench.runtimes import RUNTIMES
from workbench.steps.base import Context, Work


class Branches(nn.Module):
    """A depthwise convolution, a concatenation of two branches, a norm, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn = nn.Conv2d(1, 8, 7, stride=7), nn.BatchNorm2d(8)
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.left, self.right = nn.Conv2d(8, 12, 1), nn.Conv2d(8, 20, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(32, 40), nn.Linear(40, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.depth(torch.relu(self.bn(self.stem(x)))))
        x = torch.cat([self.left(x), self.right(x)], 1).mean((2, 3))
        return self.fc2(torch.relu(self.fc1(x)))


MODELS = {"lenet5": lambda data: fresh_model("lenet5", data), "branches": lambda data: Branches()}
STEPS = [
    Prune(ratio=0.3),
    Prune(ratio=0.55, scope="global"),
    Prune(ratio=0.5, scope="isomorphic", importance="l1"),
    Prune(ratio=0.7, round_to=8),
    Prune(ratio=0.5, granularity="mlp"),
    Prune(ratio=0.4, layers={"fc1": 0.1}),
    Prune(target="macs", keep=0.4),
    Prune(target="parameters", keep=0.3, scope="global"),
]


def counted(module: nn.Module, data: Dataset) -> tuple[int, int]:
    return sum(p.numel() for p in module.parameters()), count_macs(module, data.prepare(data.calibration.inputs[:1]))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.describe())
@pytest.mark.parametrize("name", MODELS)
def test_counts_are_those_of_the_pruned_model(name: str, step: Prune, few_digits: Dataset) -> None:
    torch.manual_seed(0)
    module = MODELS[name](few_digits).eval()
    context = Context(few_digits, module)
    size = follow(Recipe([step]), Outline(module, context), RUNTIMES["onnxruntime"]).size
    work = Work(copy.deepcopy(module))
    step.apply(work, context)
    assert (size.parameters, size.macs) == counted(work.module, few_digits)


def test_a_second_pruning_counts_from_what_the_first_left(few_digits: Dataset) -> None:
    module = fresh_model("lenet5", few_digits).eval()
    context, steps = Context(few_digits, module), [Prune(ratio=0.4), Prune(ratio=0.5)]
    size = follow(Recipe(steps), Outline(module, context), RUNTIMES["onnxruntime"]).size
    work = Work(copy.deepcopy(module))
    for step in steps:
        step.apply(work, context)
    assert (size.parameters, size.macs) == counted(work.module, few_digits)


def test_the_outline_leaves_the_model_as_it_was(lenet5: nn.Module, few_digits: Dataset) -> None:
    before = {name: tensor.clone() for name, tensor in lenet5.state_dict().items()}
    outline = Outline(lenet5, Context(few_digits, lenet5))
    follow(Recipe([Prune(ratio=0.5), Quantize()]), outline, RUNTIMES["onnxruntime"])
    assert all(torch.equal(before[name], tensor) for name, tensor in lenet5.state_dict().items())


def test_a_residual_network_with_shortcuts(digits: Dataset) -> None:
    data = digits.padded(32)
    module = fresh_model("resnet20", data).eval()
    context = Context(data, module)
    outline = Outline(module, context)
    for step in (Prune(ratio=0.5), Prune(ratio=0.5, granularity="block", importance="l1", scope="global")):
        work = Work(copy.deepcopy(module))
        step.apply(work, context)
        size = follow(Recipe([step]), outline, RUNTIMES["onnxruntime"]).size
        assert (size.parameters, size.macs) == counted(work.module, data)


@pytest.mark.parametrize(("granularity", "name"), [("channel", "conv2"), ("mlp", "fc1")])
def test_a_cut_that_another_process_told_of_is_counted_at_once(
    lenet5: nn.Module, few_digits: Dataset, granularity: str, name: str
) -> None:
    walked, fresh = (Outline(lenet5, Context(few_digits, lenet5)) for _ in range(2))
    structure = walked.structure(granularity)
    assert structure is not None and name in [group.name for group in structure.groups]
    cut = {("channel", name): 4}
    assert fresh.size(cut) == walked.size(cut) != walked.size({})
    assert fresh.whole(("channel", name)) == walked.whole(("channel", name))


@pytest.mark.parametrize("importance", ["l1", "bn", "taylor", "fpgm", "lamp", "random"])
@pytest.mark.parametrize("name", MODELS)
def test_units_are_worth_as_much_as_to_the_step(name: str, importance: str, few_digits: Dataset) -> None:
    """Though the graph is walked once for all importances."""
    torch.manual_seed(0)
    module = MODELS[name](few_digits).eval()
    context = Context(few_digits, module, seed=3)
    found = Outline(module, context).structure("channel", importance)
    step = Prune.model_validate({"importance": importance})
    expected = None
    try:
        expected = Structure(Work(module), step, context)
    except WorkbenchError:  # nothing of the model can be ranked so
        assert found is None
        return
    expected.leave_broken()
    assert found is not None and [g.name for g in found.groups] == [g.name for g in expected.groups]
    assert all(torch.equal(one, other) for one, other in zip(found.scores, expected.scores, strict=True))


def test_by_chance_the_seed_of_the_recipe_says_which_units_go(few_digits: Dataset) -> None:
    torch.manual_seed(0)
    module = MODELS["branches"](few_digits).eval()
    outline = Outline(module, Context(few_digits, module))
    structure = outline.structure("channel", "random")
    assert structure is not None
    step = Prune(importance="random", scope="global")
    for seed in (0, 7):
        expected = Structure(Work(module), step, Context(few_digits, module, seed=seed))
        expected.leave_broken()
        found = outline.scores(structure, seed)
        assert all(torch.equal(one, other) for one, other in zip(found, expected.scores, strict=True))
    assert not torch.equal(outline.scores(structure, 0)[0], outline.scores(structure, 7)[0])
