"""Creates models by name and loads them from checkpoints."""

from pathlib import Path

from models import build, weights
from models.registry import model_spec
from torch_utils.runs.checkpoint import Checkpoint, load_checkpoint
from utils.errors import ConfigError


def create_model(
    name: str,
    num_classes: int,
    *,
    pretrained: str = "none",
    backbone_weights: str | Path | None = None,
    img_size: int | None = None,
    max_detections: int | None = None,
):
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
    model = build.build_model(spec, num_classes, img_size, max_detections=max_detections)
    if backbone_weights is not None:
        weights.load_backbone_file(model, Path(backbone_weights))
    elif pretrained == "coco":
        weights.load_coco(model, spec, name)
    elif pretrained == "imagenet":
        weights.load_imagenet(model, spec, name)
    elif pretrained != "none":
        raise ConfigError(f"unknown pretrained {pretrained!r}: expected coco, imagenet or none")
    if spec.frozen_bn and (backbone_weights is not None or pretrained != "none"):
        build.freeze_batch_norm(model.backbone.body)
    return model


def load_model(
    checkpoint,
    *,
    model_name: str | None = None,
    img_size: int | None = None,
    max_detections: int | None = None,
    device: str = "cpu",
):
    """The model in a checkpoint, in evaluation mode on `device`.

    Args:
        checkpoint: a path, or a `torch_utils.runs.checkpoint.Checkpoint`.
        model_name: where the file names none, or another one than is wanted.
        img_size: short side in pixels, where it is to differ from the one that the checkpoint was trained at.
        max_detections: the most detections of an image, where it is to differ from the checkpoint's.
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = load_checkpoint(checkpoint, model_name=model_name)
    spec = model_spec(model_name or checkpoint.require_model_name())
    model = build.build_model(
        spec,
        checkpoint.num_classes,
        img_size or checkpoint.img_size,
        max_detections=max_detections or checkpoint.max_detections,
    )
    weights.load_whole(model, spec, checkpoint)
    return model.eval().to(device)
