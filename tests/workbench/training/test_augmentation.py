"""Random changes to training images."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench import Finetune
from workbench.training.augmentation import affine, augment


def _augmented(images: np.ndarray, seed: int = 0, **knobs) -> np.ndarray:
    return augment(images, Finetune(**knobs), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("how", ["shift", "shift+flip", "affine"])
def test_augmenting_keeps_shape_and_dtype_and_depends_on_the_seed_only(few_digits, how):
    images = few_digits.train.inputs[:100]
    one, same, other = (_augmented(images, seed, augment=how) for seed in (0, 0, 1))
    assert (one.shape, one.dtype) == (images.shape, images.dtype)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("how", ["shift", "shift+flip"])
def test_a_shifted_image_is_a_window_of_the_padded_one_or_of_its_mirror_image(few_digits, how):
    images = few_digits.train.inputs[:60]
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(images, [(0, 0), (0, 0), (4, 4), (4, 4)]), (28, 28), axis=(2, 3)
    ).reshape(60, -1, 28, 28)
    mirrored = 0
    for image, allowed in zip(_augmented(images, augment=how)[:, 0], windows, strict=True):
        straight = (allowed == image).all(axis=(1, 2)).any()
        assert straight or (how == "shift+flip" and (allowed == image[:, ::-1]).all(axis=(1, 2)).any())
        mirrored += not straight
    assert (mirrored > 10) == (how == "shift+flip")


@given(size=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_crop_is_a_part_of_its_image(few_digits, size, seed):
    images = few_digits.train.inputs[:5]
    side = min(size, 28)
    for image, crop in zip(images[:, 0], _augmented(images, seed, crop=size)[:, 0], strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(image, (side, side))
        assert (windows == crop).all(axis=(2, 3)).any()


def test_without_augmentation_images_stay_and_what_is_no_image_always_stays(few_digits):
    images, figures = few_digits.train.inputs[:5], np.ones((5, 4), np.float32)
    assert _augmented(images) is images
    assert _augmented(figures, augment="shift+flip") is figures


def test_an_affine_change_turns_scales_and_moves_a_square_within_its_bounds():
    square = np.zeros((200, 1, 28, 28), np.uint8)
    square[:, :, 9:19, 9:19] = 255
    changed = affine(square, torch.Generator().manual_seed(0))[:, 0].astype(float) / 255
    places = np.arange(28)
    down, across = ((changed.sum(axis) * places).sum(1) / changed.sum((1, 2)) for axis in (2, 1))
    for middle in (down, across):  # 13.5 before; turned and scaled about the middle, moved by 2 pixels at most
        assert np.abs(middle - 13.5).max() <= 2.01
        assert middle.std() > 0.8
    sides = np.sqrt(changed.sum((1, 2)))
    assert 8.75 < sides.min() < 9.3 and 10.7 < sides.max() < 11.25  # 12 % to both sides
    assert len({image.tobytes() for image in changed}) == 200


def test_affine_changes_keep_floats_as_floats_between_the_values_that_were_there():
    images = np.random.default_rng(0).normal(size=(8, 3, 16, 16)).astype(np.float32)
    changed = affine(images, torch.Generator().manual_seed(0))
    assert changed.dtype == np.float32
    assert min(images.min(), 0) <= changed.min() and changed.max() <= images.max()
