"""The zoo: models by name, with weights that this project trained itself."""

from typing import TYPE_CHECKING

from workbench.data import Dataset
from workbench.errors import WorkbenchError, lookup
from workbench.factories import names_factory, own_module, refuse_if_served
from workbench.models.base import ZooModel
from workbench.models.lenet import LENET5, LENET300
from workbench.models.resnet import RESNET20

if TYPE_CHECKING:
    from torch import nn

MODELS: dict[str, ZooModel] = {model.name: model for model in (LENET300, LENET5, RESNET20)}


def fitted(name: str, dataset: Dataset) -> Dataset:
    """The dataset as the zoo model takes it: padded where its images are larger."""
    size = lookup(MODELS, name, "model").image_size
    return dataset.padded(size) if size and dataset.sample_shape[-1] < size else dataset


def load_model(name: str, dataset: Dataset) -> "nn.Module":
    """A zoo model with the weights trained on that dataset, in evaluation mode.

    Raises
    ------
    WorkbenchError
        If the model is unknown, has no weights for the dataset, or its weights file is damaged.
    """
    from workbench.weights import load_weights

    model = lookup(MODELS, name, "model")
    path = model.weights(dataset.name)
    if not path.exists():
        raise WorkbenchError(
            f"{model.title} has no weights for '{dataset.name}'.",
            f"It has some for: {', '.join(d for d in model.training if model.weights(d).exists())}.",
        )
    module = model.build(dataset.sample_shape[0], len(dataset.classes))
    load_weights(module, path)
    return module.eval()


def fresh_model(name: str, dataset: Dataset) -> "nn.Module":
    """A zoo model's architecture for the inputs and classes of this dataset, with random weights.

    Raises
    ------
    WorkbenchError
        If the model is unknown, or takes other inputs.
    """
    model = lookup(MODELS, name, "model")
    shape = dataset.sample_shape
    if len(shape) != 3 or model.image_size not in (None, shape[-1]):
        raise WorkbenchError(
            f"{name} takes {model.image_size}x{model.image_size} images, this study's inputs have shape {shape}.",
            "Choose a model that takes the same inputs.",
        )
    return model.build(shape[0], len(dataset.classes))


def check_name(name: str) -> None:
    """Refuse, without importing anything, a name that neither the zoo knows nor may be followed here."""
    if names_factory(name):
        refuse_if_served(name)
    else:
        lookup(MODELS, name, "model")


def architecture(name: str, dataset: Dataset, seed: int = 0) -> "nn.Module":
    """The model that takes the place of a study's own: of the zoo, or what ``package.module:factory`` makes.

    Raises
    ------
    WorkbenchError
        As `fresh_model`, or `workbench.factories.own_module`.
    """
    return own_module(name, seed) if names_factory(name) else fresh_model(name, dataset)


def teacher_for(name: str, dataset: Dataset) -> "nn.Module":
    """A zoo model that takes the very inputs of this dataset, as a teacher.

    Raises
    ------
    WorkbenchError
        As `load_model`, or if the teacher takes images of another size.
    """
    size = lookup(MODELS, name, "model").image_size
    if size and dataset.sample_shape[-1] != size:
        raise WorkbenchError(
            f"{name} takes {size}x{size} images, this study's are {dataset.sample_shape[-1]} pixels wide.",
            "Choose a teacher that takes the same images, or 'baseline'.",
        )
    return load_model(name, dataset)


__all__ = [
    "MODELS",
    "ZooModel",
    "architecture",
    "check_name",
    "fitted",
    "fresh_model",
    "load_model",
    "teacher_for",
]
