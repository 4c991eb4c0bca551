"""Builds models by name, new ones and those of checkpoints."""

from pathlib import Path

import torch
from torch import Tensor, nn

from models.rcnn.faster_rcnn import SyncFreeFasterRCNN, make_sync_free
from models.rcnn.frozen import freeze_batch_norm
from models.registry import ModelSpec, model_spec
from models.weights import published
from models.weights.from_checkpoint import load_whole
from torch_utils.runs.checkpoint import Checkpoint, load_checkpoint
from utils.errors import ConfigError
from utils.img_size import long_side_limit


def create_model(
    name: str,
    num_classes: int,
    *,
    pretrained: str = "none",
    backbone_weights: str | Path | None = None,
    img_size: int | None = None,
    max_detections: int | None = None,
) -> SyncFreeFasterRCNN:
    """Build a model, with trained weights where asked for.

    Args:
        name: one of `list_models()`.
        num_classes: classes with the background, so 6 for five kinds of object.
        pretrained: "coco" (everything but the class layers), "imagenet" (the backbone), or "none".
        backbone_weights: file with a torchvision-style state dict for the backbone, instead of `pretrained`.
        img_size: short side in pixels that images are resized to; None takes the model's own.
        max_detections: the most detections of an image; None takes torchvision's 100.

    Returns:
        torchvision's `FasterRCNN` in training mode. Where trained weights rest on fixed batch statistics (version 1,
        the ResNets, MobileNet), the backbone's batch norm is `FrozenBatchNorm2d`; version 2 has none.

    Raises:
        ConfigError: unknown name, or weights that do not exist for this model.
        CheckpointError: weights that cannot be fetched, read or fitted.
    """
    spec = model_spec(name)
    if num_classes < 2:
        raise ConfigError(f"num_classes counts the background: expected 2 or more, got {num_classes}")
    model = build_model(spec, num_classes, img_size, max_detections=max_detections)
    if backbone_weights is not None:
        published.load_backbone_file(model, Path(backbone_weights))
    elif pretrained == "coco":
        published.load_coco(model, spec, name)
    elif pretrained == "imagenet":
        published.load_imagenet(model, spec, name)
    elif pretrained != "none":
        raise ConfigError(f"unknown pretrained {pretrained!r}: expected coco, imagenet or none")
    if spec.frozen_bn and (backbone_weights is not None or pretrained != "none"):
        freeze_batch_norm(model.backbone.body)
    return model


def load_model(
    checkpoint: str | Path | Checkpoint,
    *,
    model_name: str | None = None,
    img_size: int | None = None,
    max_detections: int | None = None,
    device: str | torch.device = "cpu",
) -> SyncFreeFasterRCNN:
    """Build the model of a checkpoint, in evaluation mode on `device`.

    Args:
        checkpoint: a path, or a `torch_utils.runs.checkpoint.Checkpoint`.
        model_name: where the file names none, or another one than is wanted.
        img_size: short side in pixels, where it is to differ from the one that the checkpoint was trained at.
        max_detections: the most detections of an image, where it is to differ from the checkpoint's.
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = load_checkpoint(Path(checkpoint), model_name=model_name)
    spec = model_spec(model_name or checkpoint.require_model_name())
    model = build_model(
        spec,
        checkpoint.num_classes,
        img_size or checkpoint.img_size,
        max_detections=max_detections or checkpoint.max_detections,
    )
    load_whole(model, spec, checkpoint)
    return model.eval().to(device)


def build_model(
    spec: ModelSpec, num_classes: int, img_size: int | None = None, *, max_detections: int | None = None
) -> SyncFreeFasterRCNN:
    """Build an untrained model for `img_size` (None: its own), which it keeps as an attribute.

    So it keeps `max_detections`, the most that it gives for an image (None: torchvision's 100).
    """
    img_size = img_size or spec.img_size
    model = make_sync_free(spec.build(num_classes, min_size=img_size, max_size=long_side_limit(img_size)))
    model.img_size = img_size
    _limit_detections(model, max_detections or model.roi_heads.detections_per_img)
    model.backbone_stages, model.anchors = spec.stages, spec.anchors
    # Under bf16 or fp16 autocast torchvision would decode boxes in that type: 8 bits of mantissa, up to 2 px at 640.
    # With float32 head outputs, boxes, scores and losses are computed in float32.
    for head in (model.rpn.head, model.roi_heads.box_predictor):
        head.register_forward_hook(_outputs_to_float32)
    return model


def _limit_detections(model: SyncFreeFasterRCNN, count: int) -> None:
    """Set how many detections an image may have; proposals, which are an object each at best, are as many at least."""
    model.max_detections = model.roi_heads.detections_per_img = count
    for proposals in (model.rpn._pre_nms_top_n, model.rpn._post_nms_top_n):
        for mode in proposals:
            proposals[mode] = max(proposals[mode], count)


def _outputs_to_float32(module: nn.Module, inputs: tuple, outputs):
    if isinstance(outputs, Tensor):
        return outputs.float()
    return type(outputs)(_outputs_to_float32(module, inputs, output) for output in outputs)
