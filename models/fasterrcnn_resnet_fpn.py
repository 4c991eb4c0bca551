"""Faster R-CNN on the other ResNets (18, 34, 101, 152), heads as in version 1, and a small one for CPUs.

`fasterrcnn_resnet10_fpn_small` has one residual block a stage, 64 channels in the FPN, a box head of 256, anchors of
half the usual size and a fraction of the proposals: it learns from random weights on a CPU in minutes. Nothing is
published for it; the others have ImageNet backbones.
"""

from torchvision.models import resnet
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

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


def create_model(num_classes: int, *, depth: int, small: bool = False, **kwargs) -> FasterRCNN:
    """Build an untrained model; `num_classes` counts the background, `kwargs` are torchvision's own arguments."""
    fpn_channels, box_channels, smallest_anchor = (64, 256, 16) if small else (256, 1024, 32)
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
    return FasterRCNN(
        backbone,
        rpn_anchor_generator=anchors,
        box_head=TwoMLPHead(pooled, box_channels),
        box_predictor=FastRCNNPredictor(box_channels, num_classes),
        **((SMALL if small else {}) | kwargs),
    )
