"""Batches: in an order of chance, changed at random where that is asked for."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workbench import Dataset, Finetune
from workbench.training.batches import Batches, mix, smooth


def test_every_sample_comes_once_in_an_epoch_and_in_another_order_in_the_next(few_digits):
    batches = Batches(few_digits, Finetune(batch_size=100), seed=0)
    one, other = (torch.cat([batch.samples for batch in batches]).tolist() for _ in range(2))
    assert sorted(one) == sorted(other) == list(range(512))
    assert one != other
    assert len(batches) == 6


def test_a_last_batch_of_one_sample_is_left_out():
    nine = Dataset(train=(np.zeros((9, 3)), np.arange(9) % 2), validation=(np.zeros((1, 3)), [0]))
    assert [len(batch.inputs) for batch in Batches(nine, Finetune(batch_size=8), seed=0)] == [8]


@pytest.mark.parametrize(
    ("knobs", "same"),
    [
        ({}, True),
        ({"label_smoothing": 0.1}, True),
        ({"augment": "shift"}, False),
        ({"crop": 20}, False),
        ({"mixup": 1.0}, False),
    ],
)
def test_a_batch_names_its_samples_only_where_they_are_as_they_were(few_digits, knobs, same):
    for batch in Batches(few_digits, Finetune(**knobs), seed=0):
        assert (batch.samples is not None) == same
        if batch.samples is not None:
            prepared = few_digits.prepare(few_digits.train.inputs[batch.samples.numpy()])
            assert np.array_equal(batch.inputs, prepared)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_labels_are_those_of_torch_itself(smoothing):
    torch.manual_seed(0)
    logits, labels = torch.randn(20, 7), torch.randint(0, 7, (20,))
    expected = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    assert F.cross_entropy(logits, smooth(labels, 7, smoothing)) == pytest.approx(expected)


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixed_samples_lie_between_two_and_their_labels_in_the_same_share(alpha):
    inputs, labels = torch.eye(50), torch.eye(50)  # each sample is its own coordinate, and so tells what it is made of
    mixed, told = mix(inputs, labels, alpha, np.random.default_rng(3))
    assert torch.equal(mixed, told)
    share = np.random.default_rng(3).beta(alpha, alpha)
    for row in mixed.numpy():
        parts = sorted(row[row > 0])
        assert parts == pytest.approx(sorted({share, 1 - share} if len(parts) == 2 else {1.0}), abs=1e-6)


def test_mixing_depends_on_the_seed_only(few_digits):
    one, same, other = (next(iter(Batches(few_digits, Finetune(mixup=1.0), seed))).inputs for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
