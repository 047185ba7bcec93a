"""A study goes on only with the very parts that it began with; what is none, or unknown, is refused before that."""

import numpy as np
import pytest

from workbench import Dataset, Study, WorkbenchError


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"runtime": "torch"}, r"another runtime \(onnxruntime, not torch\)"),
        ({"threads": 2}, r"another threads \(1, not 2\)"),
        ({"batch": 16}, r"another batch \(1, not 16\)"),
        ({"dataset": "mnist"}, "another model or dataset"),
    ],
)
def test_another_study_on_the_same_path_is_refused(study, digits, other, said):
    with pytest.raises(WorkbenchError, match=f"holds a study with {said}.*Choose another path"):
        Study(**({"model": "lenet5", "dataset": digits, "path": study.path} | other))


def test_other_weights_or_data_of_the_same_name_are_refused(study, digits, tmp_path):
    labels = np.roll(digits.train.labels, 1)
    other = Dataset((digits.train.inputs, labels), digits.validation, digits.test, classes=digits.classes, name="mnist")
    with pytest.raises(WorkbenchError, match="holds a study with other weights or other data"):
        Study("lenet5", other, path=study.path)
    named = Study("lenet5", "mnist", path=tmp_path / "named")
    named.storage.save_settings({"hashes": named.settings["hashes"] | {"model": "0123456789abcdef"}})
    with pytest.raises(WorkbenchError, match="holds a study with other weights or other data"):
        Study.open(tmp_path / "named")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("lenet5", [1, 2]), r"A list is not a dataset\. Give a name, or wb\.Dataset"),
        ((print, "mnist"), r"A builtin_function_or_method is not a model\. Give a zoo model's name, or a torch"),
    ],
)
def test_what_is_no_model_or_no_dataset_is_refused_by_its_kind(parts, said, tmp_path):
    with pytest.raises(WorkbenchError, match=said):
        Study(*parts, path=tmp_path / "study")


def test_another_model_on_the_same_path_is_refused(study, digits, lenet5):
    with pytest.raises(WorkbenchError, match=r"another model \(lenet5, not sequential\)"):
        Study(lenet5, digits, path=study.path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": "lenet6"}, r"no model called 'lenet6'\. Did you mean 'lenet5'"),
        ({"dataset": "mnits"}, r"no dataset called 'mnits'\. Did you mean 'mnist'"),
        ({"runtime": "onyx"}, "no runtime called 'onyx'"),
        ({"device": "tpu"}, "can't use the device 'tpu' here"),
        ({"model": "lenet300", "dataset": "fashion_mnist"}, r"no weights for 'fashion_mnist'\. It has some for: mnist"),
    ],
)
def test_what_is_unknown_is_refused_before_anything_is_made(tmp_path, wrong, said):
    with pytest.raises(WorkbenchError, match=said):
        Study(**({"model": "lenet5", "dataset": "mnist", "path": tmp_path / "study"} | wrong))
    assert not (tmp_path / "study").exists()


def test_your_own_model_on_an_unknown_dataset_is_refused_before_anything_is_made(tmp_path, lenet5):
    with pytest.raises(WorkbenchError, match=r"no dataset called 'fashion'\. Did you mean 'fashion_mnist'"):
        Study(lenet5, "fashion", path=tmp_path / "study")
    assert not (tmp_path / "study").exists()
