"""ShareWeights: few values in each layer, stored as a packed file."""

import copy

import pytest
import torch

from workbench import Finetune, Prune, ShareWeights, WorkbenchError
from workbench.steps.base import Context, Work
from workbench.weights import weight_hash


def values(work: Work, name: str) -> int:
    """How many distinct values but zero a parameter has."""
    parameter = work.module.get_parameter(name)
    return len(parameter[parameter != 0].unique())


def shared(module, context, **knobs) -> Work:
    work = Work(copy.deepcopy(module))
    ShareWeights(**knobs).apply(work, context)
    return work


def test_a_layer_has_at_most_two_to_the_bits_values(lenet5, context):
    work = shared(lenet5, context, bits=3, conv_bits=5, layers={"fc2": 1})
    for name, bits in {"conv1": 5, "conv2": 5, "fc1": 3, "fc2": 1}.items():
        assert values(work, f"{name}.weight") <= 2**bits
    assert values(work, "fc1.bias") <= 8
    assert work.packed
    assert not work.simulated, "the file is real"


def test_biases_are_left_alone_when_told_or_when_they_are_too_few(lenet5, context):
    for knobs in ({"biases": False}, {"bits": 8}):
        work = shared(lenet5, context, **knobs)
        assert torch.equal(work.module.get_parameter("fc2.bias"), lenet5.get_parameter("fc2.bias"))


def test_pruned_weights_stay_zero(lenet5, context):
    work = Work(lenet5)
    Prune(ratio=0.8, granularity="weight").apply(work, context)
    zeros = {name: parameter == 0 for name, parameter in lenet5.named_parameters()}
    ShareWeights(bits=2, conv_bits=2).apply(work, context)
    assert all(torch.equal(p == 0, zeros[name]) for name, p in lenet5.named_parameters() if "weight" in name)


def test_sharing_again_changes_nothing(lenet5, context):
    work = shared(lenet5, context, bits=4, conv_bits=4)
    before = weight_hash(work.module)
    ShareWeights(bits=4, conv_bits=4).apply(work, context)
    assert weight_hash(work.module) == before


def test_training_later_moves_only_the_shared_values(lenet5, few_digits):
    context = Context(few_digits, copy.deepcopy(lenet5))
    work = shared(lenet5, context, bits=2, conv_bits=2)
    before = weight_hash(work.module)
    with torch.no_grad():
        work.module.get_parameter("fc2.bias").add_(torch.linspace(0, 2, 10))  # something to be made good
    Finetune(learning_rate=0.01).apply(work, context)
    assert weight_hash(work.module) != before
    assert all(values(work, f"{name}.weight") <= 4 for name in ("conv1", "conv2", "fc1", "fc2"))


@pytest.mark.parametrize("init", ["linear", "density", "random"])
def test_each_way_to_start_gives_the_same_weights_again(lenet5, context, init):
    one, other = (shared(lenet5, context, bits=2, conv_bits=2, init=init) for _ in range(2))
    assert weight_hash(one.module) == weight_hash(other.module)


def test_an_unknown_layer_is_refused_with_the_nearest(lenet5, context):
    with pytest.raises(WorkbenchError, match=r"no layer 'fc_1'.* Did you mean 'fc1'"):
        shared(lenet5, context, layers={"fc_1": 4})


@pytest.mark.parametrize("knobs", [{"bits": 0}, {"bits": 9}, {"layers": {"fc1": 0}}, {"init": "middle"}])
def test_knobs_out_of_range_are_refused(knobs):
    with pytest.raises(WorkbenchError):
        ShareWeights(**knobs)


def test_a_model_without_layers_to_share_in_is_refused(context):
    with pytest.raises(WorkbenchError, match="no convolution and no linear layer"):
        shared(torch.nn.ReLU(), context)
