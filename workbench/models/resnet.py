"""ResNet-20 for 32x32 images (He et al. 2016, section 4.2); its shortcuts are projections, so all can be pruned."""

from typing import TYPE_CHECKING, Any

from workbench.models.base import ZooModel
from workbench.recipe import Recipe
from workbench.steps import Finetune

if TYPE_CHECKING:
    from torch import nn


def _schedule(small: int, whole: int) -> Recipe:
    """Random 24x24 crops first, which cost little more than half as much, then whole images."""
    common: dict[str, Any] = {"optimizer": "sgd", "weight_decay": 5e-4, "augment": "shift+flip", "batch_size": 128}
    return Recipe(
        [
            Finetune(epochs=small, learning_rate=0.2, warmup=0.15, final_rate=0.3, crop=24, **common),
            Finetune(epochs=whole, learning_rate=0.08, warmup=0.0, **common),
        ]
    )


def _resnet20(channels: int, classes: int) -> "nn.Module":
    from workbench.models.resnet_module import ResNet

    return ResNet(channels, classes, blocks=3)


RESNET20 = ZooModel(
    name="resnet20",
    title="ResNet-20",
    summary="Nineteen 3x3 convolutions with shortcuts, 272 thousand parameters.",
    build=_resnet20,
    training={"fashion_mnist": _schedule(12, 10), "cifar10": _schedule(14, 12)},
    image_size=32,
    call="ResNet({channels}, {classes}, blocks=3)",
)
