"""Faster R-CNN with a ResNet-50 FPN backbone, version 1: 37.0 box AP on COCO.

One 3x3 convolution in the RPN head, two linear layers in the box head, no norm in the FPN, frozen batch norm in the
backbone (ImageNet top-1 76.130).
"""

from torchvision.models import ResNet50_Weights
from torchvision.models.detection import FasterRCNN, FasterRCNN_ResNet50_FPN_Weights, fasterrcnn_resnet50_fpn

from models.build import RESNET_STAGES, ModelSpec


def create_model(num_classes: int, **kwargs) -> FasterRCNN:
    """An untrained model; `num_classes` counts the background, `kwargs` are torchvision's `FasterRCNN` arguments."""
    return fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=num_classes, **kwargs)


MODELS = {
    "fasterrcnn_resnet50_fpn": ModelSpec(
        build=create_model,
        coco=FasterRCNN_ResNet50_FPN_Weights.COCO_V1,
        imagenet=ResNet50_Weights.IMAGENET1K_V1,
        stages=RESNET_STAGES,
        coco_bn_eps=0.0,  # torchvision overwrites it after loading: these weights were trained by an older library
    )
}
