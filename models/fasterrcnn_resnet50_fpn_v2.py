"""Faster R-CNN with a ResNet-50 FPN backbone, version 2: 46.7 box AP on COCO (pytorch/vision pull request 5763).

Batch norm in the FPN, two convolutions in the RPN head, a box head of four convolutions with batch norm and one linear
layer, no frozen batch norm anywhere, and a backbone trained with the newer recipe (ImageNet top-1 80.858).
"""

from torchvision.models.detection import FasterRCNN, fasterrcnn_resnet50_fpn_v2


def create_model(num_classes: int, **kwargs) -> FasterRCNN:
    """Build an untrained model; `num_classes` counts the background, `kwargs` are torchvision's own arguments."""
    return fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=num_classes, **kwargs)
