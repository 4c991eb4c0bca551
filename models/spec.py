"""What a model file tells about each model it builds."""

from collections.abc import Callable
from dataclasses import dataclass

from torchvision.models import WeightsEnum
from torchvision.models.detection import FasterRCNN

RESNET_STAGES = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))


@dataclass(frozen=True)
class ModelSpec:
    """One `--model` value.

    build: `build(num_classes, min_size=, max_size=, ...)` -> an untrained FasterRCNN with ordinary batch norm.
    coco, imagenet: torchvision's trained weights, of the whole detector and of the backbone; None where there are none.
    stages: children of `model.backbone.body`, from the image upwards; what `--freeze-layers` counts.
    frozen_bn: True where trained weights come with fixed batch statistics (torchvision's `FrozenBatchNorm2d`).
    coco_bn_eps: epsilon of those frozen layers in the published COCO weights, where it is not the usual 1e-5.
    img_size: short side in pixels that the model is made for; from its row in `models.registry`.
    """

    build: Callable[..., FasterRCNN]
    coco: WeightsEnum | None
    imagenet: WeightsEnum | None
    stages: tuple[tuple[str, ...], ...]
    frozen_bn: bool = True
    coco_bn_eps: float = 1e-5
    img_size: int = 640
