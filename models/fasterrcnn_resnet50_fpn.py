"""Faster R-CNN with a ResNet-50 FPN backbone, version 1: 37.0 box AP on COCO.

One 3x3 convolution in the RPN head, two linear layers in the box head, no norm in the FPN, frozen batch norm in the
backbone (ImageNet top-1 76.130).
"""

from torchvision.models.detection import FasterRCNN, fasterrcnn_resnet50_fpn


def create_model(num_classes: int, **kwargs) -> FasterRCNN:
    """Build an untrained model; `num_classes` counts the background, `kwargs` are torchvision's own arguments."""
    return fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=num_classes, **kwargs)
