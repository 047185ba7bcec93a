"""A study of handed-over files: it keeps them, goes on where it stopped, and says where they do not fit."""

import io

import numpy as np
import pytest
from safetensors.torch import save

from workbench import WorkbenchError
from workbench.handed import Origin, open_handed, reopen, weights_of


def arrays(**given: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **given)
    return file.getvalue()


@pytest.fixture
def data(digits) -> tuple[str, bytes]:
    return "My digits (2).npz", arrays(inputs=digits.train.inputs[:200, 0], labels=digits.train.labels[:200])


ORIGIN = Origin("My digits (2).npz", "mine.safetensors", "lenet5", "onnxruntime", "cpu", leave_out=False)


def test_it_is_kept_with_its_files_and_opened_again_as_it_was(data, lenet5, tmp_path):
    weights = ("mine.safetensors", save(lenet5.state_dict()))
    study, _ = open_handed(tmp_path, data, weights, ORIGIN)
    assert study.path.name.startswith("own-My-digits-2-")
    assert study.baseline.metrics.samples == len(study.dataset.validation)
    again = reopen(study.path)
    assert [t.number for t in again.trials] == [0]
    assert again.settings == study.settings
    assert open_handed(tmp_path, data, weights, ORIGIN)[0].path == study.path  # the same files, the same study


def test_shipped_weights_serve_data_like_those_that_they_were_trained_on(data, tmp_path):
    study, _ = open_handed(tmp_path, data, weights_of("lenet5", "mnist"), ORIGIN)
    assert study.dataset.sample_shape == (1, 28, 28)


def test_data_and_weights_that_do_not_fit_are_refused_with_the_shapes(digits, tmp_path):
    few = digits.train.labels[:200] % 3
    data = ("three.npz", arrays(inputs=digits.train.inputs[:200, 0], labels=few))
    with pytest.raises(WorkbenchError, match=r"\(10, 500\); lenet5 on these data has \(3, 500\).*3 classes"):
        open_handed(tmp_path, data, weights_of("lenet5", "mnist"), ORIGIN)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(WorkbenchError, match="no weights for 'cifar10'"):
        weights_of("lenet5", "cifar10")


def test_a_study_whose_files_are_gone_says_so(data, tmp_path):
    study, _ = open_handed(tmp_path, data, weights_of("lenet5", "mnist"), ORIGIN)
    (study.path / "handed" / "weights.safetensors").unlink()
    with pytest.raises(WorkbenchError, match="are damaged"):
        reopen(study.path)
