"""Files that people hand over: what is good is read, what is hostile gets a sentence, and nothing in it ever runs."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from workbench import WorkbenchError
from workbench.models import fresh_model
from workbench.own import LARGEST_CONTENT, LARGEST_FILE, read_data, read_weights

RNG = np.random.default_rng(0)


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def picture(size: tuple[int, int] = (8, 8), mode: str = "L", form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 255, (*size, *((3,) if mode == "RGB" else ())), np.uint8)).save(file, form)
    return file.getvalue()


def zipped(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def folders(count: int = 8, **more: bytes) -> bytes:
    images = {f"data/{kind}/{index}.png": picture() for kind in ("cat", "dog") for index in range(count)}
    return zipped(**images, **{"data/readme.txt": b"hello", "__MACOSX/cat/._0.png": b"x"}, **more)


class Evil:
    """Runs when it is unpickled."""

    ran: list[int] = []  # noqa: RUF012

    def __reduce__(self) -> tuple:
        return Evil.ran.append, (1,)


def test_arrays_become_a_dataset_with_a_test_split():
    inputs, labels = RNG.integers(0, 255, (50, 28, 28), np.uint8), np.arange(50) % 3
    data = read_data("digits.npz", npz(inputs=inputs, labels=labels, classes=np.array(["a", "b", "c"]))).dataset
    assert (data.sample_shape, data.classes, data.name) == ((1, 28, 28), ["a", "b", "c"], "digits")
    assert len(data.train) + len(data.validation) + len(data.test) == 50
    assert len(data.test) == 10


def test_splits_of_ones_own_are_kept_and_colours_go_to_the_front():
    splits = {f"{split}_inputs": RNG.integers(0, 255, (20, 8, 8, 3), np.uint8) for split in ("train", "test")}
    data = read_data("c.npz", npz(**splits, train_labels=np.arange(20) % 2, test_labels=np.arange(20) % 2)).dataset
    assert (data.sample_shape, len(data.test)) == ((3, 8, 8), 20)
    assert np.array_equal(data.test.inputs[0], splits["test_inputs"][0].transpose(2, 0, 1))


def test_a_zip_of_folders_becomes_a_dataset_with_a_class_for_each():
    handed = read_data("pets.zip", folders())
    assert (handed.dataset.classes, handed.dataset.sample_shape) == (["cat", "dog"], (1, 8, 8))
    assert handed.left_out == []


def test_a_corrupt_image_is_named_and_left_out_on_request():
    content = folders(**{"data/cat/broken.png": picture()[:40]})
    with pytest.raises(WorkbenchError, match=r"data/cat/broken\.png in pets\.zip is no image"):
        read_data("pets.zip", content)
    handed = read_data("pets.zip", content, leave_out=True)
    assert handed.left_out == ["data/cat/broken.png"]
    assert len(handed.dataset.train) + len(handed.dataset.validation) + len(handed.dataset.test) == 16


GOOD = npz(inputs=np.zeros((20, 4), np.float32), labels=np.arange(20) % 2)
PICKLED = np.array([Evil()] * 20, dtype=object)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("data.pkl", pickle.dumps(Evil()), "no file of data that can be read safely"),
        ("data.npz", pickle.dumps(Evil()), "damaged, or not what its name says"),
        ("data.npz", npz(inputs=PICKLED, labels=np.arange(20)), "can't be read"),
        ("data.npz", GOOD[: len(GOOD) // 2], "damaged"),
        ("data.npz", b"", "damaged"),
        ("data.npz", zipped(**{"a.pkl": b"x"}), "more than arrays"),
        ("data.npz", zipped(**{"inputs.npy": b"\x93NUMPY\x01\x00\xff\xff", "labels.npy": b""}), "can't be read"),
        ("data.npz", npz(x=np.zeros(3)), "The arrays are called x"),
        ("data.npz", npz(inputs=np.zeros((20, 4)), labels=np.arange(19)), "20 inputs and 19 labels"),
        ("data.npz", npz(inputs=np.full((20, 4), np.nan), labels=np.arange(20) % 2), "NaN"),
        ("data.npz", npz(inputs=np.zeros((20, 4)), labels=np.array(["a"] * 20)), "not whole numbers"),
        ("pets.zip", folders(**{"../../etc/cat/passwd.png": picture()}), "leads out of it"),
        ("pets.zip", folders(**{"/etc/cat/x.png": picture()}), "leads out of it"),
        ("pets.zip", folders(**{"C:\\cat\\x.png": picture()}), "leads out of it"),
        ("pets.zip", folders()[:300], "damaged"),
        ("pets.zip", zipped(**{"a.png": picture()}), "0 folders with images"),
        ("pets.zip", folders(**{"data/cat/large.png": picture((9, 9))}), "differ in size"),
        ("pets.zip", folders(**{"data/cat/huge.png": picture((300, 300))}), "300x300 pixels"),
    ],
)
def test_what_is_hostile_or_broken_is_refused_in_a_sentence(name, content, why):
    with pytest.raises(WorkbenchError, match=why):
        read_data(name, content)
    assert Evil.ran == []


def test_a_file_that_is_too_large_and_one_that_unpacks_to_too_much_are_refused_unread(monkeypatch):
    with pytest.raises(WorkbenchError, match="up to 200 MB"):
        read_data("data.npz", bytes(LARGEST_FILE + 1))
    bomb = zipped(**{f"data/cat/{i}.png": bytes(50_000_000) for i in range(2)})
    monkeypatch.setattr("workbench.own.LARGEST_CONTENT", LARGEST_CONTENT // 11)
    with pytest.raises(WorkbenchError, match="unpacks to 100 MB"):
        read_data("pets.zip", bomb)


def test_weights_of_the_architecture_are_taken(digits, lenet5):
    module = read_weights("w.safetensors", save(lenet5.state_dict()), "lenet5", digits)
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), lenet5.parameters(), strict=True))
    assert not module.training


def test_weights_that_are_unsafe_damaged_or_of_another_kind_are_refused(digits, lenet5):
    good, state = save(lenet5.state_dict()), lenet5.state_dict()
    wide = fresh_model("lenet5", digits)
    wide.fc2 = torch.nn.Linear(500, 7)
    for name, content, why in [
        ("w.pt", pickle.dumps(Evil()), "can run code when they are read"),
        ("w.safetensors", pickle.dumps(Evil()), "damaged, or no safetensors file"),
        ("w.safetensors", good[: len(good) // 2], "damaged"),
        ("w.safetensors", b"", "damaged"),
        ("w.safetensors", (2**60).to_bytes(8, "little") + good[8:], "damaged"),
        ("w.safetensors", save({"fc9.weight": torch.zeros(2)}), "lacks conv1.weight"),
        ("w.safetensors", save({**state, "more": torch.zeros(1)}), "has more"),
        ("w.safetensors", save(wide.state_dict()), r"fc2.weight in w.safetensors has shape \(7, 500\)"),
        ("w.safetensors", save({**state, "fc2.bias": torch.full((10,), torch.nan)}), "NaN"),
    ]:
        with pytest.raises(WorkbenchError, match=why):
            read_weights(name, content, "lenet5", digits)
    assert Evil.ran == []
