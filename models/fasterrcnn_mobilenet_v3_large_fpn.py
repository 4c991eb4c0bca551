"""Faster R-CNN with a MobileNetV3-Large FPN backbone: 32.8 box AP on COCO, a thirtieth of v1's operations.

The model for images of 320 pixels, for slow machines, has 22.8: torchvision gives it 150 proposals instead of 1000 and
drops those with an objectness under 0.05.
"""

from functools import partial

from torchvision.models import MobileNet_V3_Large_Weights
from torchvision.models.detection import (
    FasterRCNN,
    FasterRCNN_MobileNet_V3_Large_320_FPN_Weights,
    FasterRCNN_MobileNet_V3_Large_FPN_Weights,
    fasterrcnn_mobilenet_v3_large_320_fpn,
    fasterrcnn_mobilenet_v3_large_fpn,
)

from models.build import ModelSpec

# The blocks of `mobilenet_v3_large().features` between its strided convolutions, as torchvision counts its six stages.
MOBILENET_STAGES = tuple(
    tuple(str(block) for block in range(start, stop))
    for start, stop in ((0, 2), (2, 4), (4, 7), (7, 13), (13, 16), (16, 17))
)


def create_model(num_classes: int, *, builder=fasterrcnn_mobilenet_v3_large_fpn, **kwargs) -> FasterRCNN:
    """Build an untrained model; `num_classes` counts the background, `kwargs` are torchvision's own arguments."""
    return builder(weights=None, weights_backbone=None, num_classes=num_classes, **kwargs)


MODELS = {
    "fasterrcnn_mobilenet_v3_large_fpn": ModelSpec(
        build=create_model,
        coco=FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1,
        imagenet=MobileNet_V3_Large_Weights.IMAGENET1K_V1,
        stages=MOBILENET_STAGES,
    ),
    "fasterrcnn_mobilenet_v3_large_320_fpn": ModelSpec(
        build=partial(create_model, builder=fasterrcnn_mobilenet_v3_large_320_fpn),
        coco=FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1,
        imagenet=MobileNet_V3_Large_Weights.IMAGENET1K_V1,
        stages=MOBILENET_STAGES,
    ),
}
