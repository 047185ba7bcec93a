"""Random changes to training images: shifts, mirroring, crops, small rotations and scalings."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from workbench.steps.finetune import Training

MARGIN = 4  # pixels by which "shift" moves an image at most
ANGLE, SCALE, SHARE = math.radians(12), 0.12, 2 / 28  # by which "affine" turns, scales, and moves (of the side) at most


def augment(images: np.ndarray, settings: Training, generator: torch.Generator) -> np.ndarray:
    """Images (N, C, H, W) changed at random as `settings` says, of the same dtype; anything else as it is.

    A crop takes the place of shifts, and of the turns and scalings of ``affine`` too.
    """
    if images.ndim != 4 or (settings.augment == "none" and not settings.crop):
        return images
    if settings.augment == "affine" and not settings.crop:
        return affine(images, generator)
    out = _windows(images, settings, generator)
    if settings.augment == "shift+flip":
        flip = torch.rand(len(images), generator=generator).numpy() < 0.5
        out[flip] = out[flip, :, :, ::-1]
    return out


def affine(images: np.ndarray, generator: torch.Generator) -> np.ndarray:
    """Each image turned by up to 12 degrees, scaled by up to 12 % and moved by up to a fourteenth of its side.

    Values between pixels are bilinear, those from outside are 0, as in a shift. The ranges are those in use for
    digits since Simard, Steinkraus, Platt: Best Practices for Convolutional Neural Networks, 2003 (ICDAR).
    """

    def drawn(most: float) -> torch.Tensor:
        return (2 * torch.rand(len(images), generator=generator) - 1) * most

    angle, scale = drawn(ANGLE), 1 / (1 + drawn(SCALE))
    across, along = scale * angle.cos(), scale * angle.sin()
    right, down = drawn(2 * SHARE), drawn(2 * SHARE)  # a side is 2 long
    rows = (across, -along, across * right - along * down), (along, across, along * right + across * down)
    matrices = torch.stack([torch.stack(row, 1) for row in rows], 1)
    values = torch.from_numpy(np.ascontiguousarray(images)).float()
    grid = F.affine_grid(matrices, list(values.shape), align_corners=False)
    moved = F.grid_sample(values, grid, align_corners=False).numpy()
    return (moved.round() if np.issubdtype(images.dtype, np.integer) else moved).astype(images.dtype)


def _windows(images: np.ndarray, settings: Training, generator: torch.Generator) -> np.ndarray:
    """A window at a random place of each image, which was first given an empty margin if it is to be shifted."""
    count, _, height, width = images.shape
    size = min(settings.crop or height, height), min(settings.crop or width, width)
    margin = MARGIN if settings.augment != "none" and not settings.crop else 0
    if margin:
        images = np.pad(images, [(0, 0), (0, 0), (margin, margin), (margin, margin)])
    top, left = (
        torch.randint(0, whole + 2 * margin - part + 1, (count,), generator=generator).numpy()
        for whole, part in zip((height, width), size, strict=True)
    )
    windows = np.lib.stride_tricks.sliding_window_view(images, size, axis=(2, 3))
    return windows[np.arange(count), :, top, left]
