"""LeNet-300-100 and LeNet-5 (LeCun et al. 1998), in the variants that the pruning literature measures."""

from typing import TYPE_CHECKING

from workbench.models.base import ZooModel
from workbench.recipe import Recipe
from workbench.steps import Finetune

if TYPE_CHECKING:
    from torch import nn

_DIGITS = Recipe([Finetune(epochs=15, learning_rate=0.002, weight_decay=0.01, batch_size=128, augment="shift")])


def _lenet300(channels: int, classes: int) -> "nn.Module":
    from collections import OrderedDict

    from torch import nn

    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(channels * 784, 300),
            relu1=nn.ReLU(),
            fc2=nn.Linear(300, 100),
            relu2=nn.ReLU(),
            fc3=nn.Linear(100, classes),
        )
    )


def _lenet5(channels: int, classes: int) -> "nn.Module":
    from collections import OrderedDict

    from torch import nn

    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 20, 5),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(20, 50, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(800, 500),
            relu3=nn.ReLU(),
            fc2=nn.Linear(500, classes),
        )
    )


LENET300 = ZooModel(
    name="lenet300",
    title="LeNet-300-100",
    summary="Three fully connected layers, 267 thousand parameters.",
    build=_lenet300,
    image_size=28,
    training={"mnist": _DIGITS},
)
LENET5 = ZooModel(
    name="lenet5",
    title="LeNet-5",
    summary="Two convolutions and two fully connected layers, 431 thousand parameters.",
    build=_lenet5,
    image_size=28,
    training={"mnist": _DIGITS, "fashion_mnist": _DIGITS},
)
