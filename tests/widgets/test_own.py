"""Bring your own: the files are looked at, shown, and opened; what is wrong with them is said."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from widgets.own import OwnFiles


@pytest.fixture
def opened() -> list:
    return []


@pytest.fixture
def own(opened, tmp_path) -> OwnFiles:
    return OwnFiles(lambda: (tmp_path, "onnxruntime", "cpu"), opened.append)


def test_nothing_can_be_opened_without_data(own):
    assert own.button.disabled
    own.look()
    assert own.report.value == ""


def test_good_files_are_shown_with_samples_and_layers_and_opened(own, opened, digits, wait_until):
    file = io.BytesIO()
    np.savez_compressed(file, inputs=digits.train.inputs[:200, 0], labels=digits.train.labels[:200])
    own.data.file = ("mine.npz", file.getvalue())
    own.button.click()
    wait_until(lambda: opened)
    assert opened[0].path.name.startswith("own-mine-")
    for told in (
        "144 + 16 + 40 samples",
        "1 x 28 x 28",
        "10 classes",
        "<img",
        "4 layers with weights",
        "conv1",
        "can be pruned, can be quantized",
    ):
        assert told in own.report.value


def test_a_corrupt_image_is_named_and_left_out_on_request(own, opened, wait_until):
    picture, archive = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(picture, "PNG")
    with zipfile.ZipFile(archive, "w") as files:
        for label in range(10):
            for index in range(3):
                files.writestr(f"{label}/{index}.png", picture.getvalue())
        files.writestr("3/broken.png", b"\x89PNG broken")
    own.data.file = ("mine.zip", archive.getvalue())
    own.button.click()
    wait_until(lambda: "3/broken.png" in own.report.value)
    assert "role='alert'" in own.report.value
    wait_until(lambda: not own.button.disabled)
    own.leave_out.value = True
    own.button.click()
    wait_until(lambda: opened)
    assert "Left out: 3/broken.png" in own.report.value
