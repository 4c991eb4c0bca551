"""Weights as other programs save them."""

import torch

from torch_utils.runs.checkpoint import CLASS_WEIGHT, load_checkpoint

SMALL = "fasterrcnn_resnet10_fpn_small"
CLASSES = ("__background__", "Mask", "Gloves")
STATE = {
    "backbone.body.conv1.weight": torch.rand(4, 3, 7, 7),
    "rpn.head.cls_logits.bias": torch.rand(3),
    CLASS_WEIGHT: torch.rand(3, 8),
}


def prefixed(prefix, state=STATE):
    return {prefix + key: value for key, value in state.items()}


def read(tmp_path, content, name="m.pth"):
    torch.save(content, tmp_path / name)
    return load_checkpoint(tmp_path / name)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
