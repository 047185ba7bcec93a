"""The zoo: every card tells the truth about the weights beside it."""

import numpy as np
import pytest
import torch
import yaml

from workbench import WorkbenchError
from workbench.data import Dataset, load_dataset
from workbench.estimates import share_of
from workbench.models import MODELS, fitted, load_model, teacher_for
from workbench.recipe import Recipe
from workbench.training import accuracy
from workbench.weights import load_weights, save_weights, weight_hash

SHIPPED = [(model.name, dataset) for model in MODELS.values() for dataset in model.training]
SHAPES = {"mnist": (1, 28, 28), "fashion_mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
PROMISED = {  # of the full test sets
    ("lenet300", "mnist"): 0.980,
    ("lenet5", "mnist"): 0.991,
    ("resnet20", "fashion_mnist"): 0.930,
    ("resnet20", "cifar10"): 0.900,
}
EVERY_ONE = pytest.mark.parametrize(("model", "data"), SHIPPED, ids=["-".join(pair) for pair in SHIPPED])


def _card(model: str, data: str) -> dict:
    return yaml.safe_load(MODELS[model].weights(data).with_suffix(".yaml").read_text(encoding="utf-8"))


def _stand_in(data: str) -> Dataset:
    """Two samples of the dataset's shape, for what needs no real ones."""
    inputs = np.zeros((2, *SHAPES[data]), np.uint8)
    return Dataset(train=(inputs, [0, 9]), validation=(inputs, [0, 9]), name=data)


@EVERY_ONE
def test_its_weights_load_and_answer(model, data):
    dataset = fitted(model, _stand_in(data))
    outputs = load_model(model, dataset)(torch.from_numpy(dataset.prepare(dataset.train.inputs)))
    assert outputs.shape == (2, 10)
    assert outputs.isfinite().all()


@EVERY_ONE
def test_its_card_counts_and_names_the_very_weights(model, data):
    card, module = _card(model, data), load_model(model, fitted(model, _stand_in(data)))
    assert card["parameters"] == sum(p.numel() for p in module.parameters())
    assert card["weight_hash"] == weight_hash(module)


@EVERY_ONE
def test_its_card_tells_how_it_was_trained(model, data):
    card = _card(model, data)
    assert Recipe.from_dict(card["recipe"]) == MODELS[model].training[data]
    assert card["dataset"]["name"] == data
    assert card["retrain"].startswith(f"workbench train {model} --dataset {data}")
    assert {"chosen_by", "licence", "trained"} <= card.keys()


@EVERY_ONE
def test_the_intervals_on_its_card_are_those_of_its_counts(model, data):
    card = _card(model, data)
    for split in ("train", "validation", "test"):
        said, count = card["accuracy"][split], card["dataset"][split]
        share = share_of(round(said["value"] * count), count)
        assert [said["low"], said["high"]] == pytest.approx([share.low, share.high], abs=2e-5)


@pytest.mark.parametrize(("model", "data"), PROMISED)
def test_it_is_as_good_as_promised(model, data):
    assert _card(model, data)["accuracy"]["test"]["value"] >= PROMISED[model, data]


@pytest.mark.parametrize(("model", "data"), [pair for pair in SHIPPED if pair[0].startswith("lenet")])
def test_its_accuracy_on_the_validation_split_is_that_of_the_card(model, data):
    dataset = fitted(model, load_dataset(data))
    measured = accuracy(load_model(model, dataset), dataset, dataset.validation)
    assert measured == pytest.approx(_card(model, data)["accuracy"]["validation"]["value"], abs=0.0005)


def test_the_accuracy_of_the_residual_network_on_part_of_the_validation_split_agrees_with_the_card():
    dataset = fitted("resnet20", load_dataset("fashion_mnist"))
    part = dataset.validation.take(np.arange(500))
    measured = share_of(round(500 * accuracy(load_model("resnet20", dataset), dataset, part)), 500)
    assert measured.low <= _card("resnet20", "fashion_mnist")["accuracy"]["validation"]["value"] <= measured.high


def test_images_are_padded_to_what_the_model_takes():
    assert fitted("resnet20", _stand_in("mnist")).sample_shape == (1, 32, 32)
    assert fitted("lenet5", _stand_in("mnist")).sample_shape == (1, 28, 28)


def test_a_model_without_weights_for_a_dataset_is_refused_with_those_it_has():
    with pytest.raises(WorkbenchError, match=r"LeNet-5 has no weights for 'cifar10'. It has some for: mnist"):
        load_model("lenet5", _stand_in("cifar10"))


def test_an_unknown_model_is_refused_with_the_nearest_one(digits):
    with pytest.raises(WorkbenchError, match=r"no model called 'lenet6'\. Did you mean 'lenet5'"):
        load_model("lenet6", digits)


def test_a_teacher_must_take_the_same_images(digits):
    with pytest.raises(WorkbenchError, match="resnet20 takes 32x32 images, this study's are 28 pixels wide"):
        teacher_for("resnet20", digits)
    assert weight_hash(teacher_for("lenet5", digits)) == _card("lenet5", "mnist")["weight_hash"]


def test_weights_of_one_model_are_refused_by_another(digits, tmp_path, lenet5):
    save_weights(lenet5, tmp_path / "lenet5.safetensors")
    with pytest.raises(WorkbenchError, match="not of this architecture"):
        load_weights(MODELS["lenet300"].build(1, 10), tmp_path / "lenet5.safetensors")
