"""Fine-tune a Faster R-CNN on a data set in Pascal VOC XML.

    python train.py --model fasterrcnn_resnet50_fpn_v2 --config data_configs/ppe.yaml --epochs 50 \
        --project-name fasterrcnn_resnet50_fpn_v2_ppe --use-train-aug --no-mosaic

Everything a run leaves is in outputs/training/NAME.
"""

import sys

from utils.arguments import TRAINING_ROOT, run_dir_of, training_arguments
from utils.errors import ConfigError, ToolkitError, stop

if __name__ == "__main__":  # before the imports that take seconds: --help and mistyped flags answer at once
    try:
        ARGS = training_arguments()
    except ToolkitError as error:
        stop(error)

import time
from itertools import islice

import torch

from datasets import DetectionDataset, build_loader
from models import create_model, model_spec
from models.build import build_model, freeze_batch_norm, freeze_stages
from models.weights import load_whole, transfer
from torch_utils.artifacts import Best, save_epoch, save_final, write_predictions, write_settings, write_training_views
from torch_utils.checkpoint import load_checkpoint
from torch_utils.coco_eval import CocoEvaluator
from torch_utils.engine import Trainer, evaluate, train_one_epoch
from torch_utils.optim import Schedule, build_optimizer, count_parameters, default_lr
from torch_utils.predictor import Predictor
from torch_utils.runtime import default_workers, describe, pick_amp, pick_device
from utils.annotations import raise_for_errors, scan_split
from utils.config import load_config
from utils.loggers import CsvLogger, JsonlLogger, attach_log_file, setup_logging
from utils.plots import plot_label_statistics, plot_training, read_metrics
from utils.runs import check_run_name, create_run_dir
from utils.tables import class_table, epoch_header, epoch_row

DEFAULT_MODEL = "fasterrcnn_resnet50_fpn_v2"
PLOT_SECONDS = 30  # plots are drawn anew at most this often, and at the end


def main(args) -> int:
    log = setup_logging()
    started = time.perf_counter()
    device = pick_device(args.device)
    amp_dtype = pick_amp(device, args.amp)
    for line in describe(device, amp_dtype):
        log.info(line)
    run_dir = run_dir_of(args)
    resumed = load_checkpoint(args.weights or run_dir / "last_model.pth") if args.resume_training else None
    if not resumed:
        check_run_name(TRAINING_ROOT, args.project_name, exist_ok=args.exist_ok)

    # The data, all of it looked at before anything is built on it.
    config = load_config(args.config)
    scans = {split: scan_split(config, split, skip_bad=args.skip_bad) for split in ("train", "valid")}
    raise_for_errors(scans)
    for split, scan in scans.items():
        log.info(f"{split} split:")
        for line in scan.summary(config.class_names):
            log.info(f"  {line}")

    # The model, the steps, and what they need.
    torch.manual_seed(args.seed)  # of the layers that start from random weights
    model = resume_model(args, config, resumed) if resumed else start_model(args, config, log)
    model.to(device, memory_format=torch.channels_last)
    args.lr = args.lr or default_lr(args.optimizer, args.batch_size)
    train_loader, valid_loader = build_loaders(args, model, scans, device)
    optimizer = build_optimizer(args.optimizer, model, args.lr)
    schedule = Schedule(args.schedule, args.epochs * len(train_loader))
    names_of = train_loader.dataset.names_of
    trainer = Trainer(model, optimizer, schedule, args.lr, device, amp_dtype, args.seed, names_of)
    predictor = Predictor(model, device, amp_dtype)
    best, first_epoch = Best(), 1
    if resumed:
        best, first_epoch = restore(trainer, resumed, args.epochs)

    # The run's folder.
    if not resumed:
        run_dir = create_run_dir(TRAINING_ROOT, args.project_name, exist_ok=args.exist_ok)
    attach_log_file(log, run_dir / "train.log")
    write_settings(run_dir, args, config)
    describe_run(log, args, model, train_loader, schedule, run_dir)
    plot_label_statistics(run_dir / "labels.png", config.class_names, {k: s.annotations for k, s in scans.items()})
    write_training_views(run_dir, model, train_loader, config.class_names, log=log, show=args.vis_transformed)
    for images, _ in islice(valid_loader, 1):  # what would fail at the end of the first epoch fails now
        predictor.predict(images)

    sinks = [JsonlLogger(run_dir), CsvLogger(run_dir)]
    plotted = time.perf_counter()
    log.info(epoch_header())
    saved = first_epoch - 1
    try:
        for epoch in range(first_epoch, args.epochs + 1):
            epoch_started = time.perf_counter()
            train_loader.sampler.epoch = epoch
            last_step = epoch * len(train_loader)
            record = {"epoch": epoch, "step": last_step, "lr": args.lr * schedule(last_step - 1)}
            title = f"epoch {epoch}/{args.epochs}"
            record |= train_one_epoch(trainer, train_loader, epoch=epoch, on_steps=sinks[0].steps, title=title)
            evaluator = CocoEvaluator(scans["valid"].annotations, config.class_names)
            record |= evaluate(predictor, valid_loader, evaluator, title="validation")
            record["time/epoch_s"] = time.perf_counter() - epoch_started
            improved = best.update(record)

            # The checkpoint comes last: whatever a kill before it leaves, the resumed run writes again.
            for sink in sinks:
                sink.epoch(record)
            if improved:
                write_predictions(run_dir, evaluator, pictures=config.save_valid_predictions)
            save_epoch(run_dir, trainer, args, config, record, best, improved=improved)
            saved = epoch
            log.info(epoch_row(record, args.epochs, best=improved))
            if time.perf_counter() - plotted > PLOT_SECONDS:
                plot_training(run_dir, title=run_dir.name)
                plotted = time.perf_counter()
    except KeyboardInterrupt:
        log.info(f"stopped; {saved} of {args.epochs} epochs are finished and saved")
        if saved:
            log.info(f"go on with: python train.py --resume-training --weights {run_dir / 'last_model.pth'}")
        return 130
    finally:
        for sink in sinks:
            sink.close()

    save_final(run_dir, args, config, model, record)
    plot_training(run_dir, title=run_dir.name)
    report(log, run_dir, config, scans["valid"].annotations, best, time.perf_counter() - started)
    return 0


def start_model(args, config, log):
    """A model for a new run: trained weights, another run's checkpoint, or random weights."""
    start = load_checkpoint(args.weights) if args.weights else None
    args.model = args.model or (start.require_model_name() if start else DEFAULT_MODEL)
    spec = model_spec(args.model)
    if start:
        img_size = args.img_size or (None if start.foreign else start.img_size)
        model = build_model(spec, config.num_classes, img_size)
        kept = transfer(model, spec, start, config.class_names)
        log.info(f"weights: {args.weights}, {start.epoch} epochs")
        log.info(f"  class layers kept: {', '.join(kept.kept_classes) or 'none'}")
        log.info(f"  class layers new: {', '.join(kept.new_classes) or 'none'}")
        if kept.new_layers:
            log.info(f"  layers made new: {', '.join(kept.new_layers)}")
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
        )
        log.info(f"weights: {args.backbone_weights or args.pretrained}")
    trained = bool(start or args.backbone_weights or args.pretrained != "none")
    if args.freeze_layers is None:
        args.freeze_layers = len(spec.stages) - 3 if trained else 0  # the last three learn, as in torchvision
    frozen = freeze_stages(model, args.freeze_layers)
    if frozen:
        log.info(f"  frozen, parameters and batch statistics: {', '.join(frozen)}")
    if args.freeze_bn:
        whole = start or args.pretrained == "coco"  # else only the backbone's statistics were trained
        count = freeze_batch_norm(model if whole else model.backbone.body) if trained else 0
        log.info(f"  frozen batch norms, --freeze-bn: {count}" + ("" if trained else " (nothing is trained yet)"))
    args.img_size = model.img_size
    return model


def resume_model(args, config, resumed):
    """The model of the run that goes on. Raises ConfigError where model or classes differ from what was asked for."""
    name = resumed.require_model_name()
    differences = []
    if args.model and args.model != name:
        differences.append(f"model: the run has {name}, the command line says {args.model}")
    if resumed.class_names != config.class_names:
        differences.append(
            f"classes: the run has {resumed.class_names[1:]}, {config.path} has {config.class_names[1:]}"
        )
    if "optimizer_state_dict" not in resumed.content or resumed.foreign:
        differences.append(
            f"{resumed.path.name} has no training state of this toolkit: --resume-training needs a last_model.pth"
        )
    if args.img_size and args.img_size != resumed.img_size:
        differences.append(f"image size: the run has {resumed.img_size}, the command line says {args.img_size}")
    if differences:
        raise ConfigError(
            f"{resumed.path} cannot be resumed:\n  " + "\n  ".join(differences) + "\n  "
            "Leave out what differs, or start a new run from it with --weights and without --resume-training."
        )
    args.model, args.img_size = name, resumed.img_size
    spec = model_spec(name)
    model = build_model(spec, config.num_classes, resumed.img_size)
    load_whole(model, spec, resumed)
    freeze_stages(model, args.freeze_layers or 0)
    return model


def restore(trainer, resumed, epochs: int) -> tuple[Best, int]:
    """Optimizer, scaler and best score as they were; returns the best score and the next epoch."""
    if resumed.epoch >= epochs:
        raise ConfigError(f"{resumed.path} has finished {resumed.epoch} epochs: give --epochs more than that")
    trainer.optimizer.load_state_dict(resumed.content["optimizer_state_dict"])
    trainer.scaler.load_state_dict(resumed.content["scaler_state_dict"])
    return Best(**resumed.content["best"]), resumed.epoch + 1


def build_loaders(args, model, scans, device):
    """The loaders of training and validation batches."""
    workers = default_workers(device) if args.workers is None else args.workers
    common = {"img_size": model.img_size, "seed": args.seed}
    train_set = DetectionDataset(
        scans["train"].annotations,
        training=True,
        use_mosaic=not args.no_mosaic,
        preset="train" if args.use_train_aug else "flip",
        **common,
    )
    valid_set = DetectionDataset(scans["valid"].annotations, training=False, **common)
    return tuple(
        build_loader(data, batch_size=args.batch_size, workers=workers, pin=device.type == "cuda")
        for data in (train_set, valid_set)
    )


def describe_run(log, args, model, loader, schedule, run_dir) -> None:
    total, trainable = count_parameters(model.parameters())
    log.info(
        f"model: {args.model}, {total / 1e6:.1f} M parameters ({trainable / 1e6:.1f} M trainable), "
        f"{total * 4 / 2**20:.0f} MiB, images at {model.img_size} px (long side up to {model.transform.max_size})"
    )
    log.info(
        f"steps: {len(loader)} per epoch, {schedule.total_steps} in all; {args.optimizer}, lr {args.lr:g}, "
        f"{schedule.warmup_steps} steps of warm-up, {args.schedule}"
    )
    shown = {key: value for key, value in sorted(vars(args).items()) if value is not None and value is not False}
    log.info("arguments: " + ", ".join(f"{key}={value}" for key, value in shown.items()))
    log.info(f"results go to {run_dir}")


def report(log, run_dir, config, annotations, best, seconds: float) -> None:
    """The best epoch's table per class, and what was written where."""
    _, epochs = read_metrics(run_dir / "metrics.jsonl")
    metrics = next(record for record in epochs if record["epoch"] == best.epoch)
    objects = [sum(int((a.labels == label).sum()) for a in annotations) for label in range(config.num_classes)]
    log.info(f"best epoch: {best.epoch}, of {len(epochs)}, after {seconds / 60:.1f} minutes")
    for line in class_table(metrics, config.class_names, objects):
        log.info(f"  {line}")
    log.info(f"written to {run_dir}:")
    for names, what in (
        ("best_model.pth", "the weights of the best epoch, for inference"),
        ("last_model.pth", "to go on training with --resume-training"),
        ("map.png, train_loss_*.png, loss_*.png", "how it learned"),
        ("val_pred_*.jpg", "what it finds, beside val_labels_*.jpg"),
        ("results.csv, metrics.jsonl, train.log", "every number"),
    ):
        log.info(f"  {names:<38} {what}")


if __name__ == "__main__":
    try:
        sys.exit(main(ARGS))
    except (ToolkitError, OSError) as error:  # OSError: a disk that fills up, a folder that goes away
        stop(error)
    except KeyboardInterrupt:
        sys.exit(130)
