"""The model that a training run begins or continues with, from its settings."""

from dataclasses import replace

from models.build import build_model, create_model
from models.rcnn.faster_rcnn import SyncFreeFasterRCNN
from models.rcnn.frozen import freeze_batch_norm, freeze_stages
from models.registry import DEFAULT_MODEL, model_spec
from models.weights.from_checkpoint import load_whole
from models.weights.transfer import transfer
from torch_utils.runs.checkpoint import Checkpoint, load_checkpoint
from utils.cli.settings import TrainSettings, disagreements
from utils.config.dataset_config import DatasetConfig
from utils.errors import ConfigError
from utils.metrics import USUAL


def check_start(settings: TrainSettings) -> None:
    """Raise where the model or the weights that a new run is to start from are not there, before any data is read.

    Raises ConfigError for an unknown model, and for weights that it does not have; CheckpointError for a file that
    cannot be read, or that does not say which model it is for.
    """
    start = load_checkpoint(settings.weights) if settings.weights else None
    if settings.backbone_weights:
        load_checkpoint(settings.backbone_weights)
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
        if pretrained is None:
            best = "coco" if spec.coco else "imagenet" if spec.imagenet else "none"
            pretrained = "none" if settings.backbone_weights else best
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
    saved = {"max_detections": USUAL} | resumed.content.get("training", {}).get("arguments", {})
    begun = settings.begun_with(saved | {"model": name})
    settings = settings.filled_from(begun)
    differences = disagreements(begun, settings)
    if resumed.class_names != config.class_names:
        differences.append(
            f"classes: the run has {(resumed.class_names or ())[1:]}, {config.path} has {config.class_names[1:]}"
        )
    if resumed.pixel_range != config.pixel_range:
        ranges = [list(found) if found else "none" for found in (resumed.pixel_range, config.pixel_range)]
        differences.append(f"PIXEL_RANGE: the run has {ranges[0]}, {config.path} has {ranges[1]}")
    if differences:
        raise ConfigError(
            f"{resumed.path} cannot be resumed:\n  " + "\n  ".join(differences) + "\n  "
            "Leave out what differs, or start a new run from it with --weights and without --resume-training."
        )
    spec = model_spec(name)
    model = build_model(spec, config.num_classes, resumed.img_size, max_detections=resumed.max_detections)
    load_whole(model, spec, resumed)
    freeze_stages(model, settings.freeze_layers or 0)
    return model, replace(settings, lr=settings.lr or saved["lr"], max_detections=model.max_detections)
