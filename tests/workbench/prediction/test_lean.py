"""A lean copy answers as the model does, in whatever form is the fastest here; the model stays as it was."""

import copy

import pytest
import torch
from torch import nn

from workbench.models import MODELS
from workbench.prediction import lean
from workbench.prediction.lean import Lean


class Mixing(nn.Module):
    """Makes floats of 32 bits itself."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), torch.ones(4, 2)

    def forward(self, x):
        mixed = torch.einsum("ni,ij->nj", self.first(x), self.second)
        return mixed.index_add_(0, torch.tensor([0]), self.second[:1])


class Asking(nn.Module):
    """Asks a batch-norm for what it is."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(self.layer(x)) * self.norm.weight


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "QUICK", 1e6)  # so that floats stay


def _seasoned(module: nn.Module) -> nn.Module:
    """With batch-norms as a training leaves them, some factors below zero."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(part.weight, 0.5)
            nn.init.normal_(part.bias)
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return module.eval()


@pytest.mark.usefixtures("long")
def test_batch_norms_are_taken_in_by_the_layers_before_them():
    module = _seasoned(nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3)))
    inputs = torch.randn(6, 3, 8, 8)
    before = copy.deepcopy(module.state_dict())
    found = Lean.of(module, inputs)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in found.module.modules())
    torch.testing.assert_close(found.answers(), module(inputs).detach(), rtol=1e-3, atol=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


@pytest.mark.usefixtures("long")
def test_weights_keep_their_names():
    module = _seasoned(MODELS["resnet20"].build(3, 10))
    found = Lean.of(module, torch.randn(2, 3, 32, 32))
    weights = {name for name, parameter in module.named_parameters() if parameter.ndim > 1}
    assert weights == {name for name, parameter in found.module.named_parameters() if parameter.ndim > 1}


@pytest.mark.usefixtures("long")
def test_a_model_whose_code_asks_for_its_batch_norm_keeps_it():
    module, inputs = _seasoned(Asking()), torch.randn(8, 4)
    found = Lean.of(module, inputs)
    assert isinstance(found.module.norm, nn.BatchNorm1d)
    torch.testing.assert_close(found.answers(), module(inputs).detach())


def test_floats_of_16_bits_are_taken_where_they_are_faster(monkeypatch):
    monkeypatch.setattr(lean, "QUICK", 0.0)
    monkeypatch.setattr(lean, "_best", lambda module, inputs: 1.0 if inputs.dtype == torch.bfloat16 else 2.0)
    module, inputs = nn.Linear(4, 4), torch.randn(8, 4)
    found = Lean.of(module, inputs)
    assert found.inputs.dtype == torch.bfloat16 and found.seconds == 1.0
    assert found.answers().dtype == torch.float32
    torch.testing.assert_close(found.answers(), module(inputs).detach(), rtol=0.05, atol=0.05)


def test_a_model_that_mixes_its_floats_keeps_those_of_32_bits(monkeypatch):
    monkeypatch.setattr(lean, "QUICK", 0.0)
    found = Lean.of(Mixing(), torch.ones(8, 4))
    assert found.inputs.dtype == torch.float32 and found.seconds > 0


def test_a_model_of_nan_answers_nan():
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    nn.init.constant_(module[0].weight, torch.nan)
    assert Lean.of(module, torch.ones(8, 4)).answers().isnan().all()


@pytest.mark.parametrize("count", [1, 8, 17, 40])
def test_processors_answer_some_of_the_samples_each(monkeypatch, count):
    asked: list[int] = []
    monkeypatch.setattr(lean, "processors", lambda: 3)
    module, inputs = nn.Linear(4, 4), torch.randn(count, 4)
    found = Lean.of(module, inputs)
    found.module.register_forward_hook(lambda layer, given, answers: asked.append(len(given[0])))
    torch.testing.assert_close(found.answers(), module(inputs).detach())
    assert sum(asked) == count and len(asked) == min(3, max(1, count // 8))


def test_what_goes_wrong_on_another_processor_is_raised(monkeypatch):
    monkeypatch.setattr(lean, "processors", lambda: 2)
    found = Lean.of(nn.Linear(4, 4), torch.randn(16, 4))

    def refuse(layer, given):
        if given[0].data_ptr() != found.inputs.data_ptr():
            raise ValueError("not these")

    found.module.register_forward_pre_hook(refuse)
    with pytest.raises(ValueError, match="not these"):
        found.answers()
