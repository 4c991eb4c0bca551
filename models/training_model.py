"""The model that a training run begins or continues with, from its settings."""

from dataclasses import replace
from typing import Any

import torch
from torchvision.models.detection import FasterRCNN

from models.build import build_model, create_model
from models.rcnn.faster_rcnn import SyncFreeFasterRCNN
from models.rcnn.frozen import freeze_batch_norm, freeze_stages
from models.registry import DEFAULT_MODEL, LIGHTEST, ModelSpec, model_spec
from models.weights import published
from models.weights.from_checkpoint import load_whole
from models.weights.state import check_fits
from models.weights.transfer import fitting_keys, transfer
from torch_utils.runs.checkpoint import Checkpoint, load_checkpoint
from utils.cli.settings import TrainSettings, disagreements
from utils.config.dataset_config import DatasetConfig
from utils.errors import ConfigError
from utils.metrics import USUAL
from utils.runs.data import TrainingData


def check_model(settings: TrainSettings, resumed: Checkpoint | None) -> None:
    """Raise what can be known of the model and its weights before any data is read.

    Raises ConfigError for an unknown model, for weights that it does not have, and for settings that a run cannot
    change when it is resumed; CheckpointError for weights that cannot be read, do not say which model they
    are for, or do not fit it.
    """
    if resumed is None:
        _check_start(settings)
        return
    settings, begun = _as_begun(settings, resumed)
    if differences := disagreements(begun, settings):
        raise _not_resumable(resumed, differences)
    own = _skeleton(model_spec(begun.model or ""), resumed.num_classes).state_dict()
    check_fits(own, resumed.state_dict, new=None, source=str(resumed.path))


def _check_start(settings: TrainSettings) -> None:
    start = load_checkpoint(settings.weights) if settings.weights else None
    name = settings.model or (start.require_model_name() if start else DEFAULT_MODEL)
    spec = model_spec(name)
    if settings.pretrained in ("coco", "imagenet") and getattr(spec, settings.pretrained) is None:
        there = [kind for kind in ("coco", "imagenet") if getattr(spec, kind)] + ["none"]
        kind = {"coco": "COCO", "imagenet": "ImageNet"}[settings.pretrained]
        raise ConfigError(f"{name}: there are no {kind} weights for it; use --pretrained {' or '.join(there)}")
    if (settings.freeze_layers or 0) > len(spec.stages):
        raise ConfigError(
            f"--freeze-layers {settings.freeze_layers}: the backbone of {name} has {len(spec.stages)} stages, so it is "
            f"0 to {len(spec.stages)}"
        )
    if start:
        fitting_keys(_skeleton(spec).state_dict(), start)
    elif settings.backbone_weights:
        published.check_backbone_file(_skeleton(spec), settings.backbone_weights)


def fetch_weights(settings: TrainSettings) -> None:
    """Download the published weights that a new run begins with, where it does and they are not here yet.

    Raises CheckpointError where they cannot be downloaded.
    """
    if settings.weights or settings.backbone_weights:
        return
    spec = model_spec(settings.model or DEFAULT_MODEL)
    if weights := {"coco": spec.coco, "imagenet": spec.imagenet}.get(_pretrained(settings, spec)):
        published.fetch(weights)


def _skeleton(spec: ModelSpec, num_classes: int = 2) -> FasterRCNN:
    """Build a model whose tensors have names and shapes, and take no memory."""
    with torch.device("meta"):
        return spec.build(num_classes)


def _pretrained(settings: TrainSettings, spec: ModelSpec) -> str:
    """Return the published weights that a run without its own begins with: those asked for, or the best."""
    if settings.pretrained is not None:
        return settings.pretrained
    return "none" if settings.backbone_weights else "coco" if spec.coco else "imagenet" if spec.imagenet else "none"


def training_model(
    settings: TrainSettings, data: TrainingData, resumed: Checkpoint | None, log
) -> tuple[SyncFreeFasterRCNN, TrainSettings]:
    """Build the model of a run that continues, or of a new one; returns it and the settings with all that it decides.

    Layers that start from random weights start by the settings' seed.
    """
    torch.manual_seed(settings.seed)
    if resumed:
        return resume_model(settings, data.config, resumed)
    return start_model(settings, data.config, log, needed=data.needed_detections)


def lighter_model(settings: TrainSettings, device: torch.device) -> str | None:
    """Return a line on the model that takes less time; None with a GPU, and where it is that one."""
    if device.type != "cpu" or settings.model == LIGHTEST:
        return None
    return f"a lighter model takes less time on a CPU: --model {LIGHTEST}, or a smaller --img-size"


def start_model(
    settings: TrainSettings, config: DatasetConfig, log, *, needed: int = USUAL
) -> tuple[SyncFreeFasterRCNN, TrainSettings]:
    """Make the model of a new run: trained weights, another run's checkpoint, or random weights.

    Args:
        needed: detections of an image that the data asks for; `--max-detections` wins over it.

    Returns the model, and the settings with what its weights decide filled in.
    """
    start = load_checkpoint(settings.weights) if settings.weights else None
    name = settings.model or (start.require_model_name() if start else DEFAULT_MODEL)
    spec, pretrained = model_spec(name), settings.pretrained
    if start:
        img_size = settings.img_size or (None if start.foreign else start.img_size)
        limit = settings.max_detections or max(needed, start.max_detections or 0)
        model = build_model(spec, config.num_classes, img_size, max_detections=limit)
        kept = transfer(model, spec, start, config.class_names)
        log.info(f"weights: {settings.weights}, {start.epoch} epochs")
        for line in kept.report():
            log.info(f"  {line}")
    else:
        pretrained = _pretrained(settings, spec)
        model = create_model(
            name,
            config.num_classes,
            pretrained=pretrained,
            backbone_weights=settings.backbone_weights,
            img_size=settings.img_size,
            max_detections=settings.max_detections or needed,
        )
        log.info(f"weights: {settings.backbone_weights or pretrained}")
    trained = bool(start or settings.backbone_weights or pretrained != "none")
    trained_stages = kept.stages if start else len(spec.stages) if trained else 0
    freeze_layers = settings.freeze_layers
    if freeze_layers is None:  # the last three learn, as in torchvision
        freeze_layers = min(trained_stages, len(spec.stages) - 3)
    elif trained_stages < freeze_layers <= len(spec.stages):
        raise ConfigError(
            f"--freeze-layers {freeze_layers}: only {trained_stages} of the backbone's first stages have trained "
            f"weights here, and random ones are not to be fixed: give at most {trained_stages}, or weights that fit "
            "the model"
        )
    frozen = freeze_stages(model, freeze_layers)
    if frozen:
        log.info(f"  frozen, parameters and batch statistics: {', '.join(frozen)}")
    if settings.freeze_bn:  # those whose statistics were trained: all, or the backbone's
        count = 0
        if start:
            count = freeze_batch_norm(model, only=kept.norms)
        elif trained:
            count = freeze_batch_norm(model if pretrained == "coco" else model.backbone.body)
        log.info(f"  frozen batch norms, --freeze-bn: {count}" + ("" if trained else " (nothing is trained yet)"))
    settings = replace(settings, model=name, pretrained=pretrained, freeze_layers=freeze_layers)
    return model, replace(settings, img_size=model.img_size, max_detections=model.max_detections)


def resume_model(
    settings: TrainSettings, config: DatasetConfig, resumed: Checkpoint
) -> tuple[SyncFreeFasterRCNN, TrainSettings]:
    """Return the model of the run that continues, and the settings with what the run decides filled in.

    Raises ConfigError where model, classes or other settings differ from the run's that must not.
    """
    name = resumed.require_model_name()
    settings, begun = _as_begun(settings, resumed)
    differences = disagreements(begun, settings)
    if resumed.class_names != config.class_names:
        differences.append(
            f"classes: the run has {(resumed.class_names or ())[1:]}, {config.path} has {config.class_names[1:]}"
        )
    if resumed.pixel_range != config.pixel_range:
        ranges = [list(found) if found else "none" for found in (resumed.pixel_range, config.pixel_range)]
        differences.append(f"PIXEL_RANGE: the run has {ranges[0]}, {config.path} has {ranges[1]}")
    if differences:
        raise _not_resumable(resumed, differences)
    spec = model_spec(name)
    model = build_model(spec, config.num_classes, resumed.img_size, max_detections=resumed.max_detections)
    load_whole(model, spec, resumed)
    freeze_stages(model, settings.freeze_layers or 0)
    return model, replace(settings, lr=settings.lr or _arguments(resumed)["lr"], max_detections=model.max_detections)


def _arguments(resumed: Checkpoint) -> dict[str, Any]:
    return {"max_detections": USUAL} | resumed.content.get("training", {}).get("arguments", {})


def _as_begun(settings: TrainSettings, resumed: Checkpoint) -> tuple[TrainSettings, TrainSettings]:
    """Return the settings, with what they leave open as the run was begun, and those that it was begun with."""
    begun = settings.begun_with(_arguments(resumed) | {"model": resumed.require_model_name()})
    return settings.filled_from(begun), begun


def _not_resumable(resumed: Checkpoint, differences: list[str]) -> ConfigError:
    return ConfigError(
        f"{resumed.path} cannot be resumed:\n  " + "\n  ".join(differences) + "\n  "
        "Leave out what differs, or start a new run from it with --weights and without --resume-training."
    )
