"""Datasets: what is wrong with them is said on arrival; what is right stays as it was."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from workbench import Dataset, WorkbenchError
from workbench.data import DATASETS, load_dataset

INPUTS = np.random.default_rng(0).random((20, 1, 4, 4), np.float32)
LABELS = np.arange(20) % 3


def _with(value: float) -> np.ndarray:
    inputs = INPUTS.copy()
    inputs[7, 0, 1, 2] = value
    return inputs


class Pairs:
    """The least that a torch Dataset is."""

    def __len__(self) -> int:
        return len(LABELS)

    def __getitem__(self, index: int):
        return torch.from_numpy(INPUTS[index]), int(LABELS[index])


@pytest.mark.parametrize(
    "given",
    [
        (INPUTS, LABELS),
        [INPUTS, LABELS],
        (INPUTS.tolist(), LABELS.tolist()),
        (torch.from_numpy(INPUTS), torch.from_numpy(LABELS)),
        TensorDataset(torch.from_numpy(INPUTS), torch.from_numpy(LABELS)),
        Pairs(),
        (INPUTS.astype(np.float64), LABELS.astype(np.float32)),
    ],
    ids=["tuple", "list", "nested lists", "tensors", "TensorDataset", "torch Dataset", "other dtypes"],
)
def test_the_same_data_in_any_form_are_the_same_dataset(given):
    dataset = Dataset(train=given)
    assert dataset.hash == Dataset(train=(INPUTS, LABELS)).hash
    assert (dataset.train.inputs.dtype, dataset.train.labels.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ((INPUTS, LABELS - 1), r"label -1, but there are 2 classes \(0 to 1\). Number the classes from 0"),
        ((INPUTS, np.where(LABELS == 1, np.nan, 0)), "not whole numbers"),
        ((INPUTS, np.where(LABELS == 1, np.inf, 0)), "not whole numbers"),
        ((INPUTS, np.array(list("abcd") * 5)), "not whole numbers"),
        ((INPUTS, np.eye(20)), "not whole numbers, one each"),
        ((INPUTS, None), "not whole numbers"),
        ((INPUTS, LABELS[:-1]), "20 inputs and 19 labels. Give one label for each input"),
        ((INPUTS[:0], LABELS[:0]), "0 inputs and 0 labels"),
        ((3, LABELS), "0 inputs and 20 labels"),
        ((_with(np.nan), LABELS), "train split hold NaN or infinity"),
        ((_with(-np.inf), LABELS), "train split hold NaN or infinity"),
        (([np.zeros(3), np.zeros(4)] * 10, LABELS), "differ in shape, or are not numbers"),
        (([["dog"]] * 20, LABELS), "differ in shape, or are not numbers"),
        ((INPUTS, LABELS, LABELS), "has 3 parts. Give exactly"),
        (7, "train split is a int. Give"),
        ((INPUTS[:1], LABELS[:1]), "One training sample can't be split"),
    ],
)
def test_what_is_wrong_with_the_data_is_said_in_a_sentence(train, said):
    with pytest.raises(WorkbenchError, match=said):
        Dataset(train=train)


def test_labels_outside_the_listed_classes_are_refused():
    with pytest.raises(WorkbenchError, match=r"label 2, but there are 2 classes .* list all of them in `classes`"):
        Dataset(train=(INPUTS, LABELS), classes=["cat", "dog"])


@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_split_is_checked(split):
    with pytest.raises(WorkbenchError, match=f"The {split} split has the label 3, but there are 3 classes"):
        Dataset(train=(INPUTS, LABELS), **{split: (INPUTS, LABELS + 1)})
    with pytest.raises(WorkbenchError, match=rf"The {split} inputs have shape \(1, 2, 4\)"):
        Dataset(train=(INPUTS, LABELS), **{split: (INPUTS[:, :, :2], LABELS)})


@given(st.integers(2, 200), st.integers(0, 2**31))
def test_a_tenth_of_the_training_samples_is_held_out_by_the_seed(count, seed):
    numbered = np.arange(count, dtype=np.float32)[:, None], np.zeros(count, int)
    dataset, again = (Dataset(train=numbered, seed=seed) for _ in range(2))
    assert len(dataset.validation) == max(1, count // 10)
    together = np.concatenate([dataset.train.inputs, dataset.validation.inputs]).ravel()
    assert sorted(together) == list(range(count))
    assert dataset.hash == again.hash


def test_calibration_samples_are_training_samples_drawn_by_the_seed(digits):
    assert len(digits.calibration) == 512
    training = {image.tobytes() for image in digits.train.inputs}
    assert all(image.tobytes() in training for image in digits.calibration.inputs)
    same = Dataset(train=digits.train, validation=digits.validation)
    assert np.array_equal(same.calibration.inputs, digits.calibration.inputs)


def test_pixels_are_scaled_and_then_normalized():
    pixels = np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1).repeat(2, axis=1)
    dataset = Dataset(train=(pixels, [0, 1, 0]), mean=(0.2, 0.0), std=(0.5, 2.0))
    prepared = dataset.prepare(pixels)
    assert prepared.dtype == np.float32
    assert prepared[:, 0].ravel() == pytest.approx([-0.4, 0.0, 1.6])
    assert prepared[:, 1].ravel() == pytest.approx([0.0, 0.1, 0.5])


def test_floats_are_taken_as_they_are():
    assert np.array_equal(Dataset(train=(INPUTS, LABELS)).prepare(INPUTS), INPUTS)


def test_padding_puts_zeros_around_the_image(digits):
    padded = digits.padded(32)
    assert padded.sample_shape == (1, 32, 32)
    assert np.array_equal(padded.test.inputs[..., 2:-2, 2:-2], digits.test.inputs)
    assert padded.test.inputs.sum() == digits.test.inputs.sum()
    assert np.array_equal(padded.test.labels, digits.test.labels)


@pytest.mark.parametrize(
    "other",
    [
        Dataset(train=(INPUTS + 1, LABELS)),
        Dataset(train=(INPUTS, LABELS[::-1])),
        Dataset(train=(INPUTS, LABELS), seed=1),
        Dataset(train=(INPUTS, LABELS), test=(INPUTS, LABELS)),
        Dataset(train=(INPUTS, LABELS), classes=["a", "b", "c"]),
        Dataset(train=(INPUTS, LABELS), mean=(0.1,), std=(1.0,)),
    ],
)
def test_the_hash_sees_every_difference(other):
    assert other.hash != Dataset(train=(INPUTS, LABELS)).hash


def test_an_unknown_dataset_is_refused_with_the_nearest_one():
    with pytest.raises(WorkbenchError, match=r"no dataset called 'mnits'\. Did you mean 'mnist'"):
        load_dataset("mnits")
    assert list(DATASETS) == ["mnist", "fashion_mnist", "cifar10"]
