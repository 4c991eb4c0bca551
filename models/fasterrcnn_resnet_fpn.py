"""Faster R-CNN on the other ResNets (18, 34, 101, 152), heads as in version 1, and a small one for CPUs.

`fasterrcnn_resnet10_fpn_small` has one residual block a stage, 64 channels in the FPN, a box head of 256, anchors of
half the usual size and a fraction of the proposals: it learns from random weights on a CPU in minutes. Nothing is
published for it; the others have ImageNet backbones.
"""

from functools import partial

from torchvision.models import ResNet18_Weights, ResNet34_Weights, ResNet101_Weights, ResNet152_Weights, resnet
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from models.build import RESNET_STAGES, ModelSpec

BLOCKS = {
    10: (resnet.BasicBlock, [1, 1, 1, 1]),
    18: (resnet.BasicBlock, [2, 2, 2, 2]),
    34: (resnet.BasicBlock, [3, 4, 6, 3]),
    101: (resnet.Bottleneck, [3, 4, 23, 3]),
    152: (resnet.Bottleneck, [3, 8, 36, 3]),
}

# The proposals set much of the pace of a step.
SMALL = {
    "rpn_pre_nms_top_n_train": 400,
    "rpn_pre_nms_top_n_test": 400,
    "rpn_post_nms_top_n_train": 200,
    "rpn_post_nms_top_n_test": 200,
    "rpn_batch_size_per_image": 128,
    "box_batch_size_per_image": 64,
}


def create_model(
    num_classes: int,
    *,
    depth: int,
    fpn_channels: int = 256,
    box_channels: int = 1024,
    smallest_anchor: int = 32,
    **kwargs,
) -> FasterRCNN:
    """An untrained model; `num_classes` counts the background, `kwargs` are torchvision's `FasterRCNN` arguments."""
    block, layers = BLOCKS[depth]
    body = resnet.ResNet(block, layers)
    backbone = BackboneWithFPN(
        body,
        return_layers={f"layer{level}": str(level - 1) for level in range(1, 5)},
        in_channels_list=[64 * block.expansion * 2**level for level in range(4)],
        out_channels=fpn_channels,
        extra_blocks=LastLevelMaxPool(),
    )
    anchors = AnchorGenerator(tuple((smallest_anchor * 2**level,) for level in range(5)), ((0.5, 1.0, 2.0),) * 5)
    pooled = fpn_channels * 7**2  # RoIAlign's output, 7x7
    box_head = TwoMLPHead(pooled, box_channels)
    box_predictor = FastRCNNPredictor(box_channels, num_classes)
    return FasterRCNN(backbone, rpn_anchor_generator=anchors, box_head=box_head, box_predictor=box_predictor, **kwargs)


MODELS = {
    f"fasterrcnn_resnet{depth}_fpn": ModelSpec(
        build=partial(create_model, depth=depth), coco=None, imagenet=imagenet, stages=RESNET_STAGES
    )
    for depth, imagenet in {
        18: ResNet18_Weights.IMAGENET1K_V1,
        34: ResNet34_Weights.IMAGENET1K_V1,
        101: ResNet101_Weights.IMAGENET1K_V2,
        152: ResNet152_Weights.IMAGENET1K_V2,
    }.items()
}
MODELS["fasterrcnn_resnet10_fpn_small"] = ModelSpec(
    build=partial(create_model, depth=10, fpn_channels=64, box_channels=256, smallest_anchor=16, **SMALL),
    coco=None,
    imagenet=None,
    stages=RESNET_STAGES,
)
