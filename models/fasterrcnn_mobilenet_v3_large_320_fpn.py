"""The MobileNetV3-Large FPN model for pictures of 320 pixels: 22.8 box AP on COCO, for slow machines.

torchvision gives it 150 proposals instead of 1000 and drops those with an objectness under 0.05.
"""

from torchvision.models import MobileNet_V3_Large_Weights
from torchvision.models.detection import (
    FasterRCNN,
    FasterRCNN_MobileNet_V3_Large_320_FPN_Weights,
    fasterrcnn_mobilenet_v3_large_320_fpn,
)

from models.fasterrcnn_mobilenet_v3_large_fpn import MOBILENET_STAGES
from models.spec import ModelSpec


def create_model(num_classes: int, **kwargs) -> FasterRCNN:
    """An untrained model; `num_classes` counts the background, `kwargs` are torchvision's `FasterRCNN` arguments."""
    return fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, num_classes=num_classes, **kwargs)


MODELS = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": ModelSpec(
        build=create_model,
        coco=FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1,
        imagenet=MobileNet_V3_Large_Weights.IMAGENET1K_V1,
        stages=MOBILENET_STAGES,
        img_size=320,
    )
}
