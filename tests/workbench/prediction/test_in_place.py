"""Code that writes over what nothing else reads answers the same, and leaves alone what is read again."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.models import MODELS
from workbench.prediction.in_place import in_place
from workbench.prediction.lean import Lean


class Twice(nn.Module):
    """Takes a layer's result, and the inputs, once more after the activation."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        y = self.layer(x)
        return F.relu(x) + torch.relu(y) + y + x


class Doubling(Twice):
    """Adds a sum to itself."""

    def forward(self, x):
        y = self.layer(x) + x
        return y + y


class Growing(Twice):
    """Adds something larger to what a layer makes."""

    def forward(self, x):
        return self.layer(x.mean(0, keepdim=True)) * 0 + (self.layer(x[:1]) + x)


class Deciding(Twice):
    """Can't be traced."""

    def forward(self, x):
        return torch.relu(self.layer(x)) if x.sum() > 0 else self.layer(x)


MODULES = [
    MODELS["resnet20"].build(3, 10),
    nn.Sequential(nn.Conv2d(3, 4, 3), nn.Identity(), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 4), nn.ReLU()),
]


def written_over(module: nn.Module) -> int:
    """How many of its activations and sums are computed in place."""
    graph = getattr(module, "graph", None)
    calls = [node for node in graph.nodes if node.op == "call_function"] if graph else []
    return sum(node.kwargs.get("inplace", False) or node.target.__name__ == "iadd" for node in calls)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: type(module).__name__)
def test_it_answers_the_same_and_changes_nothing(module):
    inputs = torch.randn(4, 3, 32, 32)
    before, weights = inputs.clone(), copy.deepcopy(module.eval().state_dict())
    with torch.no_grad():
        expected, found = module(inputs), in_place(module)
        torch.testing.assert_close(found(inputs), expected)
    assert torch.equal(inputs, before)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in found.state_dict().items())
    assert dict(found.named_parameters()).keys() == dict(module.named_parameters()).keys()


def test_each_activation_and_sum_of_a_residual_network_is_written_over():
    module = MODELS["resnet20"].build(3, 10).eval()
    assert written_over(in_place(module)) == 9  # of what batch-norms make nothing is known
    assert written_over(Lean.of(module, torch.randn(2, 3, 32, 32)).module) == 19 + 9


@pytest.mark.parametrize("kind", [Twice, Doubling])
def test_what_is_read_again_stays(kind):
    module, inputs = kind().eval(), torch.randn(3, 4)
    before = inputs.clone()
    with torch.no_grad():
        torch.testing.assert_close(in_place(module)(inputs), module(inputs))
    assert torch.equal(inputs, before)


def test_code_that_cannot_be_traced_stays_as_it_is():
    module = Deciding()
    assert in_place(module) is module


def test_a_sum_that_is_larger_than_what_it_would_be_written_over_is_computed_as_before():
    module, inputs = Growing().eval(), torch.randn(3, 4)
    with torch.no_grad(), pytest.raises(RuntimeError):
        in_place(module)(inputs)
    torch.testing.assert_close(Lean.of(module, inputs).answers(), module(inputs).detach())
