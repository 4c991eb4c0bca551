"""Faster R-CNN with a ResNet-50 FPN backbone, version 2: 46.7 box AP on COCO (pytorch/vision pull request 5763).

Batch norm in the FPN, two convolutions in the RPN head, a box head of four convolutions with batch norm and one linear
layer, no frozen batch norm anywhere, and a backbone trained with the newer recipe (ImageNet top-1 80.858).
"""

from torchvision.models import ResNet50_Weights
from torchvision.models.detection import FasterRCNN, FasterRCNN_ResNet50_FPN_V2_Weights, fasterrcnn_resnet50_fpn_v2

from models.build import RESNET_STAGES, ModelSpec


def create_model(num_classes: int, **kwargs) -> FasterRCNN:
    """An untrained model; `num_classes` counts the background, `kwargs` are torchvision's `FasterRCNN` arguments."""
    return fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=num_classes, **kwargs)


MODELS = {
    "fasterrcnn_resnet50_fpn_v2": ModelSpec(
        build=create_model,
        coco=FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
        imagenet=ResNet50_Weights.IMAGENET1K_V2,
        stages=RESNET_STAGES,
        frozen_bn=False,
    )
}
