"""Pairs: layers of equal size, found or named; what they put out can be listened to."""

import pytest
import torch
from torch import nn

from workbench import WorkbenchError
from workbench.distillation.pairs import outputs, pair_layers
from workbench.models import MODELS

IMAGES = torch.zeros(2, 1, 28, 28)


def _names(student: nn.Module, teacher: nn.Module, example: torch.Tensor = IMAGES, wanted: str = "auto") -> list:
    return [(pair.student, pair.teacher) for pair in pair_layers(student, teacher, example, wanted)]


def _narrow() -> nn.Sequential:
    """LeNet-5 with a quarter of the channels, and other names."""
    return nn.Sequential(
        nn.Conv2d(1, 5, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 12, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(192, 125), nn.ReLU(), nn.Linear(125, 10),
    )  # fmt: skip


def test_the_last_layers_of_each_size_make_a_pair_and_the_logits_none():
    teacher = MODELS["lenet5"].build(1, 10)
    assert _names(_narrow(), teacher) == [
        ("1", "relu1"), ("2", "pool1"), ("4", "relu2"), ("5", "pool2"), ("8", "relu3")
    ]  # fmt: skip
    shapes = [(pair.student_shape, pair.teacher_shape) for pair in pair_layers(_narrow(), teacher, IMAGES, "auto")]
    assert (shapes[0], shapes[-1]) == (((5, 24, 24), (20, 24, 24)), ((125,), (500,)))


def test_the_stages_of_a_residual_network_make_pairs():
    net = MODELS["resnet20"].build(1, 10)
    found = _names(net, net, torch.zeros(2, 1, 32, 32))
    assert found == [(name, name) for name in ("blocks.2", "blocks.5", "blocks", "pool")]


def test_tokens_are_paired_by_their_number():
    def encoder(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(6, width), nn.LayerNorm(width), nn.Flatten(), nn.Linear(4 * width, 3))

    found = pair_layers(encoder(8), encoder(16), torch.zeros(2, 4, 6), "auto")
    assert found[0] == ("1", "1", (4, 8), (4, 16))


def test_pairs_can_be_named_in_any_number():
    assert _names(_narrow(), MODELS["lenet5"].build(1, 10), wanted="4:relu2, 8 : relu3") == [
        ("4", "relu2"), ("8", "relu3")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("4:relu9", r"teacher has no layer called 'relu9'\. Did you mean 'relu"),
        ("fc1:relu2", r"student has no layer called 'fc1'\."),
        ("relu2", r"'relu2' names no pair of layers\. Write student:teacher\."),
        ("", r"'' names no pair of layers"),
        ("9:fc2", r"student has no layer called '9'"),  # the logits are the targets' affair
    ],
)
def test_a_pair_that_is_none_is_refused(wanted, said):
    with pytest.raises(WorkbenchError, match=said):
        _names(_narrow(), MODELS["lenet5"].build(1, 10), wanted=wanted)


def test_models_without_a_common_size_are_refused_with_the_way_to_name_pairs():
    one = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 10, 26))
    other = nn.Sequential(nn.Conv2d(1, 2, 5), nn.Conv2d(2, 10, 24))
    with pytest.raises(WorkbenchError, match=r"put out anything of equal size\. Name the pairs"):
        pair_layers(one, other, IMAGES, "auto")


def test_listening_leaves_nothing_behind():
    net = MODELS["lenet5"].build(1, 10)
    with outputs(net, ["relu1", "relu3"]) as heard:
        net(IMAGES)
    assert {name: tuple(tensor.shape) for name, tensor in heard.items()} == {
        "relu1": (2, 20, 24, 24),
        "relu3": (2, 500),
    }
    heard.clear()
    net(IMAGES)
    assert not heard
    assert not any(layer._forward_hooks for layer in net.modules())
