"""The model that a training run begins or continues with, from its arguments."""

from models.build import build_model, freeze_batch_norm, freeze_stages
from models.create import create_model
from models.registry import DEFAULT_MODEL, model_spec
from models.transfer import transfer
from models.weights import load_whole
from torch_utils.runs.checkpoint import load_checkpoint
from utils.errors import ConfigError
from utils.metrics import USUAL

# What a resumed run cannot change, and its name in a message.
FIXED = {
    "recipe": "--recipe",
    "img_size": "--img-size",
    "max_detections": "--max-detections",
    "optimizer": "--optimizer",
    "global_batch": "images per step (--batch-size x --accumulate x processes)",
    "backbone_lr": "--backbone-lr",
    "ema": "--ema",
    "freeze_layers": "--freeze-layers",
    "freeze_bn": "--freeze-bn",
    "sync_bn": "--sync-bn",
}


def start_model(args, config, log, *, needed: int = USUAL):
    """Make the model of a new run: trained weights, another run's checkpoint, or random weights.

    `needed` detections of an image are what the data asks for; `--max-detections` wins over it.
    """
    start = load_checkpoint(args.weights) if args.weights else None
    args.model = args.model or (start.require_model_name() if start else DEFAULT_MODEL)
    spec = model_spec(args.model)
    if start:
        img_size = args.img_size or (None if start.foreign else start.img_size)
        args.max_detections = args.max_detections or max(needed, start.max_detections or 0)
        model = build_model(spec, config.num_classes, img_size, max_detections=args.max_detections)
        kept = transfer(model, spec, start, config.class_names)
        log.info(f"weights: {args.weights}, {start.epoch} epochs")
        for line in kept.told():
            log.info(f"  {line}")
    else:
        if args.pretrained is None:
            best = "coco" if spec.coco else "imagenet" if spec.imagenet else "none"
            args.pretrained = "none" if args.backbone_weights else best
        model = create_model(
            args.model,
            config.num_classes,
            pretrained=args.pretrained,
            backbone_weights=args.backbone_weights,
            img_size=args.img_size,
            max_detections=args.max_detections or needed,
        )
        log.info(f"weights: {args.backbone_weights or args.pretrained}")
    trained = bool(start or args.backbone_weights or args.pretrained != "none")
    trained_stages = kept.stages if start else len(spec.stages) if trained else 0
    if args.freeze_layers is None:  # the last three learn, as in torchvision
        args.freeze_layers = min(trained_stages, len(spec.stages) - 3)
    elif trained_stages < args.freeze_layers <= len(spec.stages):
        raise ConfigError(
            f"--freeze-layers {args.freeze_layers}: only {trained_stages} of the backbone's first stages have trained "
            f"weights here, and random ones are not to be fixed: give at most {trained_stages}, or weights that fit "
            "the model"
        )
    frozen = freeze_stages(model, args.freeze_layers)
    if frozen:
        log.info(f"  frozen, parameters and batch statistics: {', '.join(frozen)}")
    if args.freeze_bn:  # those whose statistics were trained: all, or the backbone's
        count = 0
        if start:
            count = freeze_batch_norm(model, only=kept.norms)
        elif trained:
            count = freeze_batch_norm(model if args.pretrained == "coco" else model.backbone.body)
        log.info(f"  frozen batch norms, --freeze-bn: {count}" + ("" if trained else " (nothing is trained yet)"))
    args.img_size, args.max_detections = model.img_size, model.max_detections
    return model


def resume_model(args, config, resumed):
    """The model of the run that continues. Raises ConfigError where model or classes differ from what was asked for."""
    name = resumed.require_model_name()
    differences = []
    if args.model and args.model != name:
        differences.append(f"model: the run has {name}, the command line says {args.model}")
    if resumed.class_names != config.class_names:
        differences.append(
            f"classes: the run has {resumed.class_names[1:]}, {config.path} has {config.class_names[1:]}"
        )
    if resumed.pixel_range != config.pixel_range:
        ranges = [list(found) if found else "none" for found in (resumed.pixel_range, config.pixel_range)]
        differences.append(f"PIXEL_RANGE: the run has {ranges[0]}, {config.path} has {ranges[1]}")
    begun = {"max_detections": USUAL} | resumed.content.get("training", {}).get("arguments", {})
    for key, flag in FIXED.items():
        if getattr(args, key) is None:
            setattr(args, key, begun.get(key))
        elif key in begun and getattr(args, key) != begun[key]:
            differences.append(f"{flag}: the run has {begun[key]}, here it is {getattr(args, key)}")
    if differences:
        raise ConfigError(
            f"{resumed.path} cannot be resumed:\n  " + "\n  ".join(differences) + "\n  "
            "Leave out what differs, or start a new run from it with --weights and without --resume-training."
        )
    args.model = name
    args.lr = args.lr or begun["lr"]
    spec = model_spec(name)
    model = build_model(spec, config.num_classes, resumed.img_size, max_detections=resumed.max_detections)
    args.max_detections = model.max_detections
    load_whole(model, spec, resumed)
    freeze_stages(model, args.freeze_layers or 0)
    return model
